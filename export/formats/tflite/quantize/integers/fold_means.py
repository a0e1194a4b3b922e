"""The mean that layer normalization subtracts, folded into the layer before it.

x = W u + b,   x - mean of x over channels = (W - mean of W) u + (b - mean of b)      means over output channels
"""

from __future__ import annotations

import numpy as np

from ...flatbuffer_graph import Graph, position, replace_input
from .pattern import LAYERS, norms


def fold_means(graph: Graph) -> None:
    """Fold every mean over channels into the layer that alone is read for it."""
    for norm in norms(graph):
        if norm.centre is None or [graph.kind(op) for op in norm.means] != ["CONV_2D"]:
            continue
        if graph.kind(norm.layer) == "DEPTHWISE_CONV_2D":
            continue  # its output channels have different inputs
        axis = LAYERS[graph.kind(norm.layer)]
        kernel, bias = (graph.constant(int(i)).astype(np.float64) for i in norm.layer.inputs[1:3])
        name = graph.name(norm.x)
        norm.layer.inputs = np.array(
            [
                norm.layer.inputs[0],
                graph.add_constant(kernel - kernel.mean(axis, keepdims=True), f"{name}/centred_kernel"),
                graph.add_constant(bias - bias.mean(), f"{name}/centred_bias"),
            ],
            np.int32,
        )
        centred = int(norm.centre.outputs[0])
        for op in graph.users(centred):
            replace_input(op, centred, norm.x)
        for op in (*norm.means, norm.centre):
            del graph.ops[position(graph, op)]
        graph.index()
