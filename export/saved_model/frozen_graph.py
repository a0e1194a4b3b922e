"""A recorded function as one graph with its weights as constants: there is less to write and to read than a SavedModel.

A function that is marked for XLA (Keras marks each grouped convolution so) is a call in that graph, which nobody
inlines: such a model is written as a SavedModel, in whose file the marks can be dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow.python.framework import convert_to_constants

FILE = "frozen_graph.pb"
XLA_MARK = "_XlaMustCompile"


def frozen(concrete: Any, variables_left: frozenset[str] = frozenset()) -> graph_pb2.GraphDef:
    """The graph of a concrete function with its variables, but those that are left, as constants."""
    data = convert_to_constants._FunctionConverterDataInEager(
        concrete, lower_control_flow=False, aggressive_inlining=True, variable_names_denylist=variables_left
    )
    definition: graph_pb2.GraphDef = convert_to_constants._replace_variables_by_constants(converter_data=data)[0]
    return definition


def inputs_and_outputs(concrete: Any) -> tuple[list[str], list[str]]:
    """The names of the tensors that go in, sorted, and of those that come out. Captured constants do neither."""
    captured = {tensor.name for tensor in concrete.graph.internal_captures}
    inputs = sorted(tensor.name for tensor in concrete.inputs if tensor.name not in captured)
    return inputs, [tensor.name for tensor in concrete.outputs]


def write_frozen(concrete: Any, directory: Path, most_bytes: int) -> bool:
    """Write `FILE`, or return False: the weights take more than `most_bytes`, or a function is marked."""
    sizes = [tensor.dtype.size * (tensor.shape.num_elements() or 0) for tensor in _captured(concrete)]
    if sum(sizes) > most_bytes or _is_marked(concrete.graph.as_graph_def()):
        return False
    inputs, outputs = inputs_and_outputs(concrete)
    whole = meta_graph_pb2.MetaGraphDef(graph_def=frozen(concrete))
    for kind, names in (("inputs", inputs), ("outputs", outputs)):
        for i, name in enumerate(names):
            getattr(whole.signature_def["serving_default"], kind)[f"{i:04}"].name = name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / FILE).write_bytes(whole.SerializeToString(deterministic=True))
    return True


def read_frozen(path: Path) -> tuple[graph_pb2.GraphDef, list[str], list[str]]:
    """The graph, and the names of its inputs and outputs."""
    whole = meta_graph_pb2.MetaGraphDef.FromString(path.read_bytes())
    signature = whole.signature_def["serving_default"]
    inputs, outputs = ([found[i].name for i in sorted(found)] for found in (signature.inputs, signature.outputs))
    return whole.graph_def, inputs, outputs


def _captured(concrete: Any) -> list[Any]:
    """Variables, and tensors that the function took in as constants."""
    variables = concrete.graph.variables
    handles = {id(variable.handle) for variable in variables}
    return [*variables, *(outside for outside, _ in concrete.graph.captures if id(outside) not in handles)]


def _is_marked(definition: graph_pb2.GraphDef) -> bool:
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    return any(XLA_MARK in each.attr for each in (*nodes, *definition.library.function))
