"""What the command asks of the checking process, and what that answers: plain data, since it crosses as JSON.

The command fills these in without importing this module: to import anything below `keras_norms` is to import Keras.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from ..options import IoDtype, Layout, Norms, Target, TFLiteQuantization

Status = Literal["passed", "updated", "refused", "failed", "skipped"]


class ExportTask(TypedDict):
    """One export of a model: the options of `to_tflite` and `to_onnx`, the file that is kept, and its budgets.

    `artifact` is None where no file is kept: the export is then made in a temporary folder. Sizes are in bytes, times
    in milliseconds. With `try_missing`, a file that is not there is exported all the same, to see whether it is
    refused.
    """

    name: str
    suffix: Literal[".tflite", ".onnx"]
    quantize: TFLiteQuantization | None
    calibration: str | None
    inputs: str | None
    labels: list[str] | None
    batch_size: int | None
    fold: bool
    tolerance: float | None
    io_dtype: IoDtype | None
    target: Target | None
    allow_flex: bool
    opset: int | None
    norms: Norms
    layout: Layout
    artifact: str | None
    certificate: bool
    try_missing: bool
    min_db: float | None
    max_size: int | None
    max_latency: float | None
    max_latency_ratio: float | None


class ModelTask(TypedDict):
    """One model file, how it is read, and everything that is asked of it."""

    path: str
    signature: str | None
    user_file: str | None
    unsafe: bool
    look_at_norms: bool
    exports: list[ExportTask]
    update: bool


class Outcome(TypedDict):
    """What came of one check.

    `check` names it, `export` the export that it belongs to; `kind` is what is wrong, one of `KINDS` of the command;
    `text` is a figure, or the reason. "refused" is a failure that a policy may allow.
    """

    check: str
    export: str | None
    status: Status
    kind: str | None
    text: str
    layer: str | None
    file: str | None
    seconds: float
