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

from ...errors import ExportError
from ...model.layer_names import names_apart
from ...model.signature import Signature, Spec
from ...worker.client import ConversionError, run_job, stop_child
from ..protocol import Runner
from .convert.detect_layout import is_channels_first
from .convert.unsupported import explain
from .external_data import channels_first, check_data, data_path, in_keras_layout
from .metadata import read_metadata, tensors, write_metadata  # noqa: F401  (part of a target)
from .reference_evaluator import reference_runner

NAME = "ONNX"
CHANNELS_FIRST = True
CONVERTER = "formats.onnx.convert.saved_model_to_onnx"  # runs in the child process
MODES = ("float16", "dynamic", "int8")
CALIBRATED = ("int8",)
_DEFAULT_OPSET = 18
DATA_ABOVE = 1_500_000_000  # bytes of weights that still fit into one protobuf, with room for the rest
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


@lru_cache
def layer_norm_is_exact() -> bool:
    """Whether the installed ONNX Runtime's LayerNormalization centres before it squares; older ones did not."""
    value = onnx.helper.make_tensor_value_info
    row = (onnx.TensorProto.FLOAT, [1, 4])
    node = onnx.helper.make_node("LayerNormalization", ["x", "gamma"], ["y"], epsilon=1e-6)
    gamma = onnx.numpy_helper.from_array(np.ones(4, np.float32), "gamma")
    graph = onnx.helper.make_graph([node], "probe", [value("x", *row)], [value("y", *row)], [gamma])
    opsets = [onnx.helper.make_opsetid("", _DEFAULT_OPSET)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": np.array([[40000, 40001, 40002, 40003]], np.float32)})
    return bool(np.allclose(y, np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=0, atol=1e-5))


def check(options: dict[str, Any]) -> None:
    opset = options.get("opset")
    if opset is not None and (
        isinstance(opset, bool) or not isinstance(opset, int) or not _OLDEST_OPSET <= opset <= newest_opset()
    ):
        raise ExportError(
            f"opset must be an integer from {_OLDEST_OPSET} to {newest_opset()} (the newest the installed ONNX Runtime "
            f"runs); got {opset!r}."
        )
    for option, choices in (("norms", ("fast", "standard")), ("layout", ("keras", "nchw"))):
        if options.get(option, choices[0]) not in choices:
            raise ExportError(f"{option} must be one of {', '.join(map(repr, choices))}; got {options[option]!r}.")


def convert(saved_model: Path, path: Path, sig: Signature, options: dict[str, Any]) -> tuple[str, ...]:
    """Write the ONNX form of a traced model to `path`, and weights of more than 1.5 GB beside it.

    Raises:
        ExportError: an operation that tf2onnx or the opset does not have, or a file that onnx's checker rejects.
    """
    job, inputs = f"{CONVERTER}:convert_saved_model", [spec.name for spec in sig.inputs]
    try:
        run_job(
            job,
            progress=options.get("progress"),
            saved_model=saved_model,
            path=path,
            names={"inputs": inputs, "outputs": list(names_apart(sig.outputs, inputs))},
            opset=options.get("opset"),
            newest_opset=newest_opset(),
            mode=options.get("quantize"),
            calibration=options.get("calibration"),
            channels_first_io=options.get("layout") == "nchw",
            channels_first_model=is_channels_first(options["model"]),
            standard_norms=options.get("norms") == "standard",
            layer_norm=layer_norm_is_exact(),
            data_above=DATA_ABOVE,
        )
    except ConversionError as failure:
        if failure.kind == "UnavailableNormError":
            raise ExportError(
                f"norms='standard' needs {failure}; got opset={options.get('opset')}, and ONNX Runtime runs up to "
                f"{newest_opset()}. Raise opset, or leave norms at 'fast'."
            ) from failure
        raise ExportError(explain(failure, options["layers"])) from failure
    if data_path(path).is_file():
        stop_child()  # TensorFlow gives back no memory, and verifying needs it
    turned = channels_first(path)
    return (f"channels first, as layout='nchw' asks: {', '.join(turned)}",) if turned else ()


class OnnxRunner:
    """An .onnx file in ONNX Runtime on the CPU. `level` is that of its graph optimizations."""

    def __init__(self, path: str | os.PathLike, *, level: str = "ENABLE_ALL", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
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


_LEVELS = {
    "ONNX Runtime, optimized": "ENABLE_ALL",
    "ONNX Runtime, not optimized": "DISABLE_ALL",
    "ONNX Runtime, basic optimizations": "ENABLE_BASIC",
    "ONNX Runtime, extended optimizations": "ENABLE_EXTENDED",
}


def runners(path: Path) -> dict[str, Runner]:
    """ONNX Runtime at each level of optimization, and for a small model ONNX's own reference evaluator.

    With weights beside it, the first two levels: each holds a copy of them.
    """
    check_data(path)
    levels = list(_LEVELS.items())[: 2 if data_path(path).is_file() else None]
    found: dict[str, Runner] = {name: OnnxRunner(path, level=level) for name, level in levels}
    reference = reference_runner(path, found["ONNX Runtime, optimized"])
    if reference is not None:
        found["ONNX's reference evaluator"] = reference
    return {name: in_keras_layout(runner, path) for name, runner in found.items()}


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
