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
from .onnx_graph import tidy

NAME = "ONNX"
OPTIONS = ("opset",)
_DEFAULT_OPSET = 18
_OLDEST_OPSET = 13
_TF2ONNX_NEWEST = 18


@lru_cache
def newest_opset() -> int:
    """The newest opset that the installed ONNX Runtime loads, found by asking it."""
    value = onnx.helper.make_tensor_value_info
    for opset in range(defs.onnx_opset_version(), _OLDEST_OPSET, -1):
        node = onnx.helper.make_node("Identity", ["x"], ["y"])
        float1 = (onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph([node], "probe", [value("x", *float1)], [value("y", *float1)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
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
    opset = options.get("opset") or _DEFAULT_OPSET
    try:
        run_job("targets.onnx:convert_saved_model", saved_model=saved_model, path=path, names=names, opset=opset)
    except ConversionError as failure:
        raise ExportError(f"The ONNX converter failed: {failure}\n{failure.printed}".rstrip()) from failure


def convert_saved_model(saved_model: str, path: str, names: dict[str, list[str]], opset: int) -> None:
    """The job in the child process."""
    for old, new in (("product", "prod"), ("cast", "asarray")):  # tf2onnx still asks NumPy 2 for names it dropped
        if not hasattr(np, old):
            setattr(np, old, getattr(np, new))
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    _let_inline(Path(saved_model) / "saved_model.pb")
    loaded = tf.saved_model.load(saved_model)
    concrete = loaded.signatures["serving_default"]
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)
    # Named one by one: left to itself, tf2onnx takes captured constants for inputs.
    inputs = sorted(tensor.name for tensor in frozen.inputs)
    outputs = [tensor.name for tensor in frozen.outputs]
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        name="keras",
        input_names=inputs,
        output_names=outputs,
        opset=min(opset, _TF2ONNX_NEWEST),
        tensors_to_rename=dict(zip(inputs + outputs, names["inputs"] + names["outputs"], strict=True)),
    )
    if opset > _TF2ONNX_NEWEST:
        model = onnx.version_converter.convert_version(model, opset)
    model = tidy(model)
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def _let_inline(path: Path) -> None:
    """Drop the marks that keep a function apart for XLA; Keras puts one around each grouped convolution.

    tf2onnx does not inline a marked function: it leaves a call in the file, which is then no valid ONNX.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta in saved.meta_graphs:
        nodes = list(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            function.attr.pop("_XlaMustCompile", None)
            nodes.extend(function.node_def)
        for node in nodes:
            node.attr.pop("_XlaMustCompile", None)
    path.write_bytes(saved.SerializeToString(deterministic=True))


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
