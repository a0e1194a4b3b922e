"""`lint`: what XNNPACK, and GPU and NPU delegates, would make of a TFLite file, told before it is on a phone.

What needs LiteRT is imported when `lint` is called: this module is imported with `keras_norms.export`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from ....errors import ExportError
from ....loading.load_model import load_model
from ....model.keras_graph import layers_below
from ....model.signature import Signature, Spec
from ....model.user_inputs import Arrays, user_cases
from ....report.delegate_report import DelegateReport
from ...isolated import isolated_reader

_EXAMPLES = 8
_DRAWN = "standard normal numbers: give calibration data (--calibration) to learn what yours do"


def lint(
    path: str | os.PathLike[str],
    *,
    model: keras.Model | str | os.PathLike[str] | None = None,
    calibration: Any = None,
    target: Literal["npu", "micro"] | None = None,
) -> DelegateReport:
    """Say what of a `.tflite` file XNNPACK takes, and what a GPU or NPU delegate would reject or compute badly.

    Half precision is emulated on `calibration`: every number between two operations is rounded to float16, and the
    first layer whose numbers overflow or vanish is named.

    Args:
        path: a `.tflite` file.
        model: the Keras model, or the path of one, for its layers' exact names; without it they are read off the file.
        calibration: typical inputs, as `to_tflite` takes them; standard normal numbers if None.
        target: "npu" says instead what an Ethos-U leaves to the processor: by Arm's compiler with its estimates of time
            and memory, or, where that is not installed (extra `npu`), by rules that are held equal to it. "micro" says
            what TFLite Micro has no kernel for, and else how much memory it takes (extra `micro`).

    Raises:
        ExportError: If the file is missing, damaged or no `.tflite` file, or if `calibration` does not fit its inputs.

    Example:
        >>> print(lint("model.tflite", calibration=images))  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise ExportError(f"Delegates are a matter of .tflite files; got '{path.name}'. Export one.")
    if not path.is_file():
        raise ExportError(f"There is no artifact '{path}'. Export the model first.")
    layers = None if model is None else {layer.name for layer in layers_below(load_model(model))}
    if target is not None:
        return _for_chip(path, target, layers)
    reader = isolated_reader(path)  # the file may come from anywhere
    specs = next(iter(reader.runners(path).values())).inputs
    feed, source = None, _DRAWN
    if calibration is not None:
        arrays, source = _first_of(calibration, specs)
        feed = {spec.name: array for spec, array in zip(specs, arrays, strict=True)}
    findings, errors, taken = reader.delegate_findings(path, feed, layers)
    return DelegateReport(str(path), taken, tuple(findings), errors, source)


def _for_chip(path: Path, target: str, layers: Collection[str] | None) -> DelegateReport:
    from ..chips.chip_findings import chip_findings

    if target not in ("npu", "micro"):
        raise ExportError(f"target must be None, 'npu' or 'micro'; got {target!r}.")
    isolated_reader(path).runners(path)  # says what is wrong with a damaged file
    findings, chips = chip_findings(path, target, layers)
    return DelegateReport(str(path), None, tuple(findings), {}, "", target, chips)


def _first_of(calibration: Any, specs: Sequence[Spec]) -> tuple[Arrays, str]:
    """The first examples, repeated where the file's batch is larger than what was given."""
    free = tuple(type(s)(s.name, (None, *s.shape[1:]), s.dtype) for s in specs)
    _, arrays = user_cases(calibration, Signature(free, ()), "calibration")[0]
    count = min(_EXAMPLES, len(arrays[0]))
    sizes = [spec.shape[0] or count for spec in specs]
    picked = [a[np.arange(size) % len(a)] for a, size in zip(arrays, sizes, strict=True)]
    return picked, f"{min(count, sizes[0])} of the inputs given"
