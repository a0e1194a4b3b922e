"""How much larger than in calibration each tensor may become before it clips, in a file of 16 bits.

Squares of deviations, and their means, grow by the square of the contrast. A sixteenth of the contrast is a reciprocal
root 16 times as large. A bit of sixteen costs next to nothing where weights have eight.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...flatbuffer_graph import Graph

_CONTRAST = 1.6
_ROOTS = 16.0
_KEEP_SQUARES = ("MEAN", "CONV_2D", "ADD", "RESHAPE")


def with_headroom(graph: Graph, ranges: Mapping[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """The ranges of the tensors of a float graph, widened."""
    factors: dict[int, float] = {}
    for op in graph.ops:
        inputs, output = [int(i) for i in op.inputs], int(op.outputs[0])
        if graph.kind(op) == "RSQRT":
            factors[output] = _ROOTS
        elif (graph.kind(op) == "MUL" and inputs[0] == inputs[1]) or (
            graph.kind(op) in _KEEP_SQUARES and factors.get(inputs[0]) == _CONTRAST**2
        ):
            factors[output] = _CONTRAST**2
    widened = {}
    for tensor, (low, high) in ranges.items():
        factor = factors.get(tensor, _CONTRAST)
        widened[tensor] = low * factor, high * factor
    return widened
