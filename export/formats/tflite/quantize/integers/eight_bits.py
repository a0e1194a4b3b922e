"""Which tensors have 8 bits: all but those of norms in "int8", and in "int16x8" what no chip has in 16."""

from __future__ import annotations

from collections.abc import Iterable

from ...flatbuffer_graph import Graph
from ..calibration_look import in_norm
from .operators import RULES


def of_eight_bits(graph: Graph, tensors: Iterable[int], mode: str) -> set[int]:
    """Of the float tensors that are given or computed, those of 8 bits."""
    if mode == "int8":
        return {tensor for tensor in tensors if not _of_norm(graph, tensor)}
    return {tensor for tensor in tensors if _kind(graph, tensor) in RULES and not RULES[_kind(graph, tensor)].wide}


def _kind(graph: Graph, tensor: int) -> str:
    """The operator that computes a tensor; "" for an input."""
    maker = graph.maker(tensor)
    return "" if maker is None else graph.kind(maker)


def _of_norm(graph: Graph, tensor: int) -> bool:
    """Whether a norm computes the tensor. A fused activation gives the last operator of one another layer's name."""
    maker = graph.maker(tensor)
    if in_norm(graph, tensor) or maker is None:
        return in_norm(graph, tensor)
    scales = graph.kind(maker) == "DEPTHWISE_CONV_2D" and graph.shape(int(maker.inputs[1]))[:3] == (1, 1, 1)
    computed = [int(i) for i in maker.inputs if graph.is_float(int(i)) and graph.constant(int(i)) is None]
    return (scales or graph.kind(maker) == "MUL") and all(in_norm(graph, i) for i in computed)
