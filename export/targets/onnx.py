"""ONNX: tf2onnx, lifted past its newest opset by onnx's own version converter, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import defs

from ..child import ConversionError, run_job
from ..errors import ExportError
from ..signature import Signature, Spec
from .onnx_inside import read_metadata, tensors, write_metadata  # noqa: F401  (part of a target)

NAME = "ONNX"
CHANNELS_FIRST = True
MODES = ("float16", "dynamic", "int8")
_DEFAULT_OPSET = 18
_OLDEST_OPSET = 13
_IR_VERSION = 8  # what tf2onnx writes: onnx's own newest may be past what the runtime reads


@lru_cache
def newest_opset() -> int:
    """The newest opset that the installed ONNX Runtime loads, found by asking it."""
    value = onnx.helper.make_tensor_value_info
    for opset in range(defs.onnx_opset_version(), _OLDEST_OPSET, -1):
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        float1 = (onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph([node], "probe", [value("x", *float1)], [value("y", *float1)])
        opsets = [onnx.helper.make_opsetid("", opset)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        with suppress(Exception):
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
            return opset
    return _OLDEST_OPSET


def check(options: dict[str, Any]) -> None:
    opset = options.get("opset")
    if opset is None:
        return
    if isinstance(opset, bool) or not isinstance(opset, int) or not _OLDEST_OPSET <= opset <= newest_opset():
        raise ExportError(
            f"opset must be an integer from {_OLDEST_OPSET} to {newest_opset()} (the newest the installed ONNX Runtime "
            f"runs); got {opset!r}."
        )


def convert(saved_model: Path, path: Path, sig: Signature, options: dict[str, Any]) -> None:
    """Write the ONNX form of a traced model to `path`.

    Raises:
        ExportError: an operation that tf2onnx or the opset does not have, or a file that onnx's checker rejects.
    """
    names = {"inputs": [spec.name for spec in sig.inputs], "outputs": list(sig.outputs)}
    arguments = {"names": names, "opset": options.get("opset") or _DEFAULT_OPSET, "mode": options.get("quantize")}
    arguments |= {
        "channels_first_io": options.get("layout") == "nchw",
        "standard_norms": options.get("norms") == "standard",
    }
    arguments["layer_norm"] = True
    job = "targets.onnx_converter:convert_saved_model"
    try:
        run_job(job, saved_model=saved_model, path=path, calibration=options.get("calibration"), **arguments)
    except ConversionError as failure:
        raise ExportError(f"The ONNX converter failed: {failure}\n{failure.printed}".rstrip()) from failure


class OnnxRunner:
    """An .onnx file in ONNX Runtime on the CPU, with graph optimizations on or off."""

    def __init__(self, path: str | os.PathLike, *, optimize: bool = True, threads: int = 1) -> None:
        levels = onnxruntime.GraphOptimizationLevel
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class of a public name
            first = str(error).splitlines()[0]
            raise ExportError(f"'{path}' is no ONNX file that ONNX Runtime can run: {first}") from error
        self.inputs = tuple(Spec(x.name, _shape(x.shape), _dtype(x.type)) for x in self._session.get_inputs())
        self.outputs = tuple(y.name for y in self._session.get_outputs())

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self._session.run(None, arrays), strict=True))


def _shape(shape: list) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) else None for size in shape)


def _dtype(kind: str) -> str:
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def runners(path: Path) -> dict[str, OnnxRunner]:
    return {
        "ONNX Runtime, optimized": OnnxRunner(path),
        "ONNX Runtime, not optimized": OnnxRunner(path, optimize=False),
    }


def op_counts(path: Path) -> dict[str, int]:
    model = onnx.load(os.fspath(path), load_external_data=False)
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def quantized_as(path: Path) -> str | None:
    """The mode of a file, read off its operations and weights; None for float32."""
    model = onnx.load(os.fspath(path), load_external_data=False)
    kinds = {node.op_type for node in model.graph.node}
    if "DynamicQuantizeLinear" in kinds or "MatMulInteger" in kinds or "ConvInteger" in kinds:
        return "dynamic"
    if "QuantizeLinear" in kinds:
        return "int8"
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "float16" if half else None
