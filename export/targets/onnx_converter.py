"""The part of the ONNX target that runs in the child process: tf2onnx, the version converter, the quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from .onnx_graph import tidy
from .onnx_quantizer import quantize

for _old, _new in (("product", "prod"), ("cast", "asarray")):  # tf2onnx asks NumPy 2 for names that it dropped
    if not hasattr(np, _old):
        setattr(np, _old, getattr(np, _new))

import tf2onnx  # noqa: E402

_TF2ONNX_NEWEST = 18


def convert_saved_model(
    saved_model: str, path: str, names: dict[str, list[str]], opset: int, mode: str | None, calibration: str | None
) -> None:
    """Convert a traced model, in float32 or quantized, under the model's names."""
    model = _from_tensorflow(saved_model, names, min(opset, _TF2ONNX_NEWEST))
    if opset > _TF2ONNX_NEWEST:
        model = onnx.version_converter.convert_version(model, opset)
    model = tidy(model)
    if mode is not None:
        model = quantize(model, mode, calibration)
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString(deterministic=True))


def _from_tensorflow(saved_model: str, names: dict[str, list[str]], opset: int) -> onnx.ModelProto:
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
        opset=opset,
        custom_op_handlers={"Erfc": (_erfc, [])},
        tensors_to_rename=dict(zip(inputs + outputs, names["inputs"] + names["outputs"], strict=True)),
    )
    return model


def _erfc(context: Any, node: Any, name: str, arguments: Any) -> None:
    """erfc(x) = 1 - erf(x): exact GELU uses it, and tf2onnx does not know it."""
    one = context.make_const(f"{name}/one", np.array(1.0, np.float32))
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(name)
    erf = context.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[dtype])
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype]
    )


def _let_inline(path: Path) -> None:
    """Drop the marks that keep a function apart for XLA; Keras puts one around each grouped convolution.

    tf2onnx does not inline a marked function: it leaves a call in the file, which is then no valid ONNX.
    """
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta in saved.meta_graphs:
        nodes = list(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            function.attr.pop("_XlaMustCompile", None)
            nodes.extend(function.node_def)
        for node in nodes:
            node.attr.pop("_XlaMustCompile", None)
    path.write_bytes(saved.SerializeToString(deterministic=True))
