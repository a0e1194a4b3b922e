"""The grid of each tensor of a file in integers: real = scale * (integer - zero point).

16 bits: the zero point is 0 and the scale is the largest magnitude / 32767. 8 bits: the range, which holds 0, is cut
into 255 steps. Any grid holds what is always zero: it gets the range of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...flatbuffer_graph import Graph
from .operators import RULES


@dataclass(frozen=True)
class Grid:
    """A scale, a zero point, and 8 or 16 bits."""

    scale: float
    zero_point: int
    bits: int

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest number."""
        ends = (-128, 127) if self.bits == 8 else (-32768, 32767)
        low, high = ((end - self.zero_point) * self.scale for end in ends)
        return low, high

    @property
    def dtype(self) -> Any:
        return np.int8 if self.bits == 8 else np.int16


def grid(low: float, high: float, bits: int) -> Grid:
    """The grid of a range."""
    if bits == 16:
        return Grid(float(np.float32((max(-low, high) or 1.0) / 32767)), 0, 16)
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(((high - low) or 1.0) / 255))
    return Grid(scale, int(np.clip(round(-128 - low / scale), -128, 127)), 8)


def assign(
    graph: Graph,
    ranges: Mapping[int, tuple[float, float]],
    bits: Callable[[int], int],
    narrow: Mapping[int, Grid],
) -> dict[int, Grid]:
    """The grid of every float tensor that is computed or given; `narrow` are those of 16 bits written in 8."""
    joined, fixed, besides = _Joined(), dict[int, Grid](), dict[int, list[tuple[float, float]]]()
    ops = [(op, RULES[graph.kind(op)], int(op.outputs[0])) for op in graph.ops if graph.is_float(int(op.outputs[0]))]
    for op, rule, output in ops:
        if rule.fixed is not None:
            fixed[output] = Grid(*rule.fixed[bits(output) == 16], bits(output))
        found = [tensor for tensor in data_inputs(graph, op) if tensor in ranges]
        if rule.same and len(found) == 1 and bits(found[0]) == bits(output):
            joined.join(found[0], output)
        for tensor in found if rule.same else ():
            if bits(tensor) > bits(output):  # it is written on the output's grid before, and has to fit
                besides.setdefault(output, []).append(narrow[tensor].range)
    fixed = {joined.root(tensor): on for tensor, on in fixed.items()}
    for op, rule, output in ops:
        found = [tensor for tensor in data_inputs(graph, op) if tensor in ranges]
        for tensor in found if rule.same and len(found) > 1 else ():
            # What has a grid of its own goes through a QUANTIZE.
            if not {joined.root(tensor), joined.root(output)} & set(fixed) and bits(tensor) == bits(output):
                joined.join(tensor, output)
    wholes: dict[int, tuple[float, float]] = {}
    for tensor in ranges:
        root = joined.root(tensor)
        ends = [wholes.get(root, (0.0, 0.0)), ranges[tensor], *besides.get(tensor, ())]
        wholes[root] = min(low for low, _ in ends), max(high for _, high in ends)
    return {
        tensor: fixed.get(joined.root(tensor)) or grid(*wholes[joined.root(tensor)], bits(tensor)) for tensor in ranges
    }


def data_inputs(graph: Graph, op: Any) -> list[int]:
    """The float inputs of an operator that hold data, constants too, without the kernel and the bias of a layer."""
    rule = RULES[graph.kind(op)]
    return [int(op.inputs[i]) for i in rule.data if i < len(op.inputs) and graph.is_float(int(op.inputs[i]))]


class _Joined:
    """Sets of tensors that share a grid."""

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def root(self, tensor: int) -> int:
        while tensor in self._parents:
            tensor = self._parents[tensor]
        return tensor

    def join(self, a: int, b: int) -> None:
        a, b = self.root(a), self.root(b)
        if a != b:
            self._parents[max(a, b)] = min(a, b)
