"""An .onnx file in ONNX Runtime, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ...errors import ExportError, reason_of
from ...model.spec import Spec
from ..protocol import Runner
from .external_data import check_data, data_path
from .io_layout import channels_first, in_keras_layout
from .reference_evaluator import MOST_BYTES, reference_runner

_LEVELS = {
    "ONNX Runtime, optimized": "ENABLE_ALL",
    "ONNX Runtime, not optimized": "DISABLE_ALL",
    "ONNX Runtime, basic optimizations": "ENABLE_BASIC",
    "ONNX Runtime, extended optimizations": "ENABLE_EXTENDED",
}


def open_session(model: str | bytes, level: str = "ENABLE_ALL", threads: int = 1) -> onnxruntime.InferenceSession:
    """A session for a file or its bytes; `level` is that of the graph optimizations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRunner:
    """An .onnx file in ONNX Runtime on the CPU. `level` is that of its graph optimizations."""

    def __init__(self, path: str | os.PathLike[str], *, level: str = "ENABLE_ALL", threads: int = 1) -> None:
        try:
            self._session = open_session(os.fspath(path), level, threads)
        except Exception as error:  # onnxruntime's own exceptions share no base class of a public name
            raise ExportError(f"'{path}' is no ONNX file that ONNX Runtime can run: {reason_of(error)}") from error
        self.inputs = tuple(Spec(x.name, _shape(x.shape), _dtype(x.type)) for x in self._session.get_inputs())
        self.outputs = tuple(y.name for y in self._session.get_outputs())
        self.at_once = threads == 1

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, arrays), strict=True))


def _shape(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _dtype(kind: str) -> str:
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def runners(path: Path) -> dict[str, Runner]:
    """ONNX Runtime at each level of optimization.

    With weights beside it, the first two levels: each holds a copy of them.
    """
    check_data(path)
    levels = list(_LEVELS.items())[: 2 if data_path(path).is_file() else None]
    found: dict[str, Runner] = {name: OnnxRunner(path, level=level) for name, level in levels}
    turned = channels_first(path)
    return {name: in_keras_layout(runner, turned) for name, runner in found.items()}


def fastest(path: Path) -> Runner:
    """Every optimization, on one thread."""
    check_data(path)
    return in_keras_layout(OnnxRunner(path), channels_first(path))


def advisers(path: Path) -> dict[str, Runner]:
    """ONNX's own reference evaluator, for a small file."""
    if path.stat().st_size > MOST_BYTES:
        return {}
    reference = reference_runner(path, OnnxRunner(path, level="DISABLE_ALL"))
    return {} if reference is None else {"ONNX's reference evaluator": in_keras_layout(reference, channels_first(path))}
