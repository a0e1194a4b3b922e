"""The layers whose kernels are rounded for what they get, of either kind, and how."""

from __future__ import annotations

from typing import Any

from ....quantization.patches import Patches
from ..flatbuffer_graph import Graph
from .depthwise_rounding import ChannelPatches, depthwise_layers, round_depthwise
from .rounding import layers, patches_of_kernel, round_kernel


def rounded_layers(graph: Graph) -> list[Any]:
    """Dense layers, convolutions and depthwise convolutions, in the order in which they run."""
    chosen = {id(op) for op in (*layers(graph), *depthwise_layers(graph))}
    return [op for op in graph.ops if id(op) in chosen]


def patches_of(graph: Graph, op: Any, examples: int) -> Patches:
    """What gathers the moments of the patches that a layer multiplies its kernel with."""
    depthwise = graph.kind(op) == "DEPTHWISE_CONV_2D"
    return ChannelPatches(graph, op, examples) if depthwise else patches_of_kernel(graph, op, examples)


def round_layer(graph: Graph, op: Any, patches: Patches) -> None:
    """Replace a kernel by values on its grid, and correct the bias."""
    if isinstance(patches, ChannelPatches):
        round_depthwise(graph, op, patches)
    else:
        round_kernel(graph, op, patches)
