"""tf2onnx, with its gaps mended: from a SavedModel to an ONNX graph as plain as it can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework import graph_pb2

from ....saved_model.frozen_graph import FILE, frozen, inputs_and_outputs, read_frozen
from .large_weights import large_weights, reads_as_inputs
from .mend_converted import mend_gemms, mend_resizes, mend_transposed
from .mend_saved_model import add_states, let_inline, tell_branches_shapes
from .missing_operators import HANDLERS
from .tf2onnx_imports import optimizer, tf2onnx, tf_loader
from .unsupported import naming_failures

NEWEST_OPSET = 18
# Transposes are the business of `passes/layout.py`: tf2onnx makes Reshapes of some, which hide the layout. Its way with
# Einsum regroups every dimension; `passes/einsum_as_matmul.py` writes one MatMul.
_LEFT_OUT = ("optimize_transpose", "einsum_optimizer", "global_pool_optimizer")


def from_tensorflow(
    recorded: str, names: dict[str, list[str]], opset: int, set_aside_above: int
) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """The ONNX form of the one signature of `recorded`, inputs and outputs renamed, and weights by input name.

    Protobuf ends at 2 GB, and each step of the converter copies the graph with all that is in it. Where the weights
    take more bytes than `set_aside_above`, the large ones are inputs of the graph on its way through the converter, and
    come back beside it.
    """
    definition, inputs, outputs, weights = _read(Path(recorded), set_aside_above)
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
        mend_gemms(converted)
        kept = {name: make for name, make in optimizer._get_optimizers().items() if name not in _LEFT_OUT}
        proto = optimizer.optimize_graph(converted, catch_errors=False, optimizers=kept).make_model("keras")
    return proto, {name: variable.numpy() for name, variable in weights.items()}


def _read(
    recorded: Path, set_aside_above: int
) -> tuple[graph_pb2.GraphDef, list[str], list[str], dict[str, tf.Variable]]:
    """The graph, the names of its inputs and outputs, and the variables that are inputs on their way."""
    if (recorded / FILE).is_file():
        return *read_frozen(recorded / FILE), {}
    let_inline(recorded / "saved_model.pb")
    loaded = tf.saved_model.load(recorded)
    concrete = loaded.signatures["serving_default"]
    aside = large_weights(concrete, set_aside_above)
    definition = frozen(concrete, frozenset(aside))
    # Named one by one: left to itself, tf2onnx takes captured constants for inputs.
    return definition, *inputs_and_outputs(concrete), reads_as_inputs(definition, aside)
