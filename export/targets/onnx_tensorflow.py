"""tf2onnx, with its gaps mended: from a SavedModel to an ONNX graph as plain as it can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

for _old, _new in (("product", "prod"), ("cast", "asarray")):  # tf2onnx asks NumPy 2 for names that it dropped
    if not hasattr(np, _old):
        setattr(np, _old, getattr(np, _new))

import tf2onnx  # noqa: E402
from tf2onnx import optimizer, tf_loader  # noqa: E402

NEWEST_OPSET = 18
# Transposes are `onnx_layout`'s business: tf2onnx makes Reshapes of some, which hide the layout. Its way with Einsum
# regroups every dimension; `onnx_einsum` writes one MatMul.
_LEFT_OUT = ("optimize_transpose", "einsum_optimizer")


def from_tensorflow(saved_model: str, names: dict[str, list[str]], opset: int) -> onnx.ModelProto:
    """The ONNX form of the one signature of `saved_model`, inputs and outputs renamed."""
    _let_inline(Path(saved_model) / "saved_model.pb")
    loaded = tf.saved_model.load(saved_model)
    concrete = loaded.signatures["serving_default"]
    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False, aggressive_inlining=True)
    # Named one by one: left to itself, tf2onnx takes captured constants for inputs.
    inputs = sorted(tensor.name for tensor in frozen.inputs)
    outputs = [tensor.name for tensor in frozen.outputs]
    with tf.Graph().as_default() as graph:
        definition = tf_loader.tf_optimize(inputs, outputs, frozen.graph.as_graph_def())
        _add_states(definition)
        tf.import_graph_def(definition, name="")
        converted = tf2onnx.tfonnx.process_tf_graph(
            graph,
            input_names=inputs,
            output_names=outputs,
            opset=opset,
            custom_op_handlers={"Erfc": (_erfc, [])},
            tensors_to_rename=dict(zip(inputs + outputs, names["inputs"] + names["outputs"], strict=True)),
        )
        kept = {name: make for name, make in optimizer._get_optimizers().items() if name not in _LEFT_OUT}
        return optimizer.optimize_graph(converted, catch_errors=False, optimizers=kept).make_model("keras")


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


def _add_states(definition: graph_pb2.GraphDef) -> None:
    """Undo what Keras makes of an addition in a recurrent layer at batch 1, where (1, units) looks like a bias.

    BiasAdd(x, Squeeze(y)) is x + y; tf2onnx knows an LSTM or GRU by the plain addition only, and writes a loop else.
    """
    for function in definition.library.function:
        squeezed = {f"{n.name}:output:0": n.input[0] for n in function.node_def if n.op == "Squeeze"}
        renamed = {}
        for node in function.node_def:
            if node.op == "BiasAdd" and node.input[1] in squeezed and node.attr["data_format"].s in (b"", b"NHWC"):
                node.op, node.input[1] = "AddV2", squeezed[node.input[1]]
                node.attr.pop("data_format", None)
                renamed[f"{node.name}:output:0"] = f"{node.name}:z:0"
        for node in function.node_def:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
        for result, name in function.ret.items():
            function.ret[result] = renamed.get(name, name)
