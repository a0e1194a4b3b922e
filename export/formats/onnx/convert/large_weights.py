"""Weights that are too large to go through the converter: inputs of the graph on their way, put back behind it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import convert_to_constants

_READS = ("Identity", "ReadVariableOp")


def large_weights(concrete: Any, limit: int) -> dict[str, tf.Variable]:
    """If all variables take more than `limit` bytes: those of over a thousandth of it, by their placeholders' names."""
    handles = {id(variable.handle): variable for variable in concrete.graph.variables}
    captures = {inside.op.name: handles.get(id(outside)) for outside, inside in concrete.graph.captures}
    sizes = {name: v.dtype.size * v.shape.num_elements() for name, v in captures.items() if v is not None}
    if sum(sizes.values()) <= limit:
        return {}
    inlined = convert_to_constants._run_inline_graph_optimization(concrete, False, True)
    # Those that a loop reads inside of itself have to be constants.
    looped = {_source(inlined, name) for node in inlined.node if node.op not in _READS for name in node.input}
    return {name: captures[name] for name, size in sizes.items() if size > limit / 1000 and name not in looped}


def reads_as_inputs(definition: graph_pb2.GraphDef, aside: dict[str, tf.Variable]) -> dict[str, tf.Variable]:
    """Turn each read of a variable that was set aside into an input; the variables by the names of these."""
    inputs = {}
    for node in definition.node if aside else ():
        if node.op != "ReadVariableOp":
            continue
        variable = aside[_source(definition, node.input[0])]
        node.op = "Placeholder"
        del node.input[:]
        node.attr["shape"].shape.CopyFrom(variable.shape.as_proto())
        inputs[f"{node.name}:0"] = variable
    used = {name.partition(":")[0] for node in definition.node for name in node.input}
    kept = [node for node in definition.node if node.name not in aside or node.name in used]
    del definition.node[:]
    definition.node.extend(kept)
    return inputs


def _source(definition: graph_pb2.GraphDef, name: str) -> str:
    """The node that a resource comes from."""
    nodes = {node.name: node for node in definition.node}
    node = nodes.get(name.lstrip("^").partition(":")[0])
    while node is not None and node.op == "Identity":
        node = nodes.get(node.input[0].partition(":")[0])
    return node.name if node is not None else ""
