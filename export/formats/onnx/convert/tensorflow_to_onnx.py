"""tf2onnx, with its gaps mended: from a SavedModel to an ONNX graph as plain as it can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import convert_to_constants

from .large_weights import large_weights, reads_as_inputs
from .mend_converted import mend_resizes, mend_transposed
from .mend_saved_model import add_states, let_inline, tell_branches_shapes
from .missing_operators import HANDLERS
from .tf2onnx_imports import optimizer, tf2onnx, tf_loader
from .unsupported import naming_failures

NEWEST_OPSET = 18
# Transposes are the business of `passes/layout.py`: tf2onnx makes Reshapes of some, which hide the layout. Its way with
# Einsum regroups every dimension; `passes/einsum_as_matmul.py` writes one MatMul.
_LEFT_OUT = ("optimize_transpose", "einsum_optimizer", "global_pool_optimizer")


def from_tensorflow(
    saved_model: str, names: dict[str, list[str]], opset: int, set_aside_above: int
) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The ONNX form of the one signature of `saved_model`, inputs and outputs renamed, and weights by input name.

    Protobuf ends at 2 GB, and each step of the converter copies the graph with all that is in it. Where the weights
    take more bytes than `set_aside_above`, the large ones are inputs of the graph on its way through the converter, and
    come back beside it.
    """
    let_inline(Path(saved_model) / "saved_model.pb")
    loaded = tf.saved_model.load(saved_model)
    concrete = loaded.signatures["serving_default"]
    aside = large_weights(concrete, set_aside_above)
    definition = _frozen(concrete, frozenset(aside))
    weights = reads_as_inputs(definition, aside)
    # Named one by one: left to itself, tf2onnx takes captured constants for inputs.
    captured = {tensor.name for tensor in concrete.graph.internal_captures}
    inputs = sorted(tensor.name for tensor in concrete.inputs if tensor.name not in captured)
    outputs = [tensor.name for tensor in concrete.outputs]
    with tf.Graph().as_default() as graph:
        definition = tf_loader.tf_optimize([*inputs, *weights], outputs, definition)
        add_states(definition)
        tell_branches_shapes(definition)
        tf.import_graph_def(definition, name="")
        with naming_failures():
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                input_names=[*inputs, *weights],
                output_names=outputs,
                opset=opset,
                custom_op_handlers=HANDLERS,
                tensors_to_rename=dict(zip(inputs + outputs, names["inputs"] + names["outputs"], strict=True)),
            )
        mend_resizes(converted)
        mend_transposed(converted)
        kept = {name: make for name, make in optimizer._get_optimizers().items() if name not in _LEFT_OUT}
        proto = optimizer.optimize_graph(converted, catch_errors=False, optimizers=kept).make_model("keras")
    return proto, {name: variable.numpy() for name, variable in weights.items()}


def _frozen(concrete: Any, left: frozenset[str]) -> graph_pb2.GraphDef:
    """The graph with its variables, but those that are `left`, as constants."""
    data = convert_to_constants._FunctionConverterDataInEager(
        concrete, lower_control_flow=False, aggressive_inlining=True, variable_names_denylist=left
    )
    definition: graph_pb2.GraphDef = convert_to_constants._replace_variables_by_constants(converter_data=data)[0]
    return definition
