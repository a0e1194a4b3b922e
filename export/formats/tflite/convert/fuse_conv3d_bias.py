"""Make the ADD that the converter leaves behind a CONV_3D the bias input of the operator.

CONV_3D(x, w) -> ADD(b) with an activation    becomes    CONV_3D(x, w, b) with that activation
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rewrite_log import logged
from ..flatbuffer_graph import Graph


def with_biases(flatbuffer: bytes) -> bytes:
    """The file with every such addition fused; the same bytes if there is none."""
    graph = Graph(flatbuffer)
    with logged("fuse_conv3d_bias", lambda: len(graph.ops)):
        fused = [op for op in graph.ops if graph.kind(op) == "CONV_3D" and _take_bias(graph, op)]
    return graph.bytes() if fused else flatbuffer


def _take_bias(graph: Graph, op: Any) -> bool:
    output = int(op.outputs[0])
    users = graph.users(output)
    if len(users) != 1 or graph.kind(users[0]) != "ADD" or graph.is_output(output):
        graph.skip(op, "something other than one addition reads it, or it is an output")
        return False
    add = users[0]
    values = _addend(graph, op, add)
    if values is None:
        return False
    name = f"{graph.name(output).split(';')[0]}/bias"
    op.inputs = np.array([*op.inputs[:2], graph.add_constant(values.reshape(-1), name)], np.int32)
    op.builtinOptions.fusedActivationFunction = add.builtinOptions.fusedActivationFunction
    op.outputs = add.outputs
    graph.ops[:] = [other for other in graph.ops if other is not add]
    graph.index()
    return True


def _addend(graph: Graph, op: Any, add: Any) -> np.ndarray | None:
    """What is added, where it can be the bias; None if not."""
    output, channels = int(op.outputs[0]), graph.shape(int(op.inputs[1]))[-1]
    (other,) = [int(i) for i in add.inputs if int(i) != output] or [-1]
    values: np.ndarray | None = graph.constant(other) if other >= 0 else None
    if values is None:
        graph.skip(op, "what is added to it is computed")
    elif (len(op.inputs) > 2 and int(op.inputs[2]) >= 0) or op.builtinOptions.fusedActivationFunction != 0:
        graph.skip(op, "it has a bias or an activation already")
    elif values.size != channels or values.shape[-1:] != (channels,):
        graph.skip(op, "what is added to it is not one number for each channel")
    else:
        return values
    return None
