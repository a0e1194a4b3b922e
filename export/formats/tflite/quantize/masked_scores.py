"""Numbers that masks put into tensors, which leave no steps to the other numbers.

A mask adds -3e38, or -1e9, or -100, to the scores of a softmax that are not to count, or fills them in. 255 steps from
there to the largest score make all real scores equal. So what computes or reads such a tensor stays in float: the sum
or the choice that masks, and the softmax, between the 8-bit products before and after it.

A tensor is masked if it holds numbers of 9,000 or more and none from 1,000 to there, or if it is on the way to a
softmax and its range is much wider than that of the scores that count: those within 30 of the largest of their row.
One that holds an infinity, wherever it comes from, is treated alike: no steps reach it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..flatbuffer_graph import Graph
from .ranges import Extremes

SOFTMAX = ("SOFTMAX", "LOG_SOFTMAX")
_SMALL, _HUGE = 1e3, 9e3
_COUNTS = 30.0  # exp(-30) is 1e-13
_WIDER = 16.0  # four of eight bits
_ON_THE_WAY = {
    "ADD",
    "SUB",
    "MUL",
    "SELECT",
    "SELECT_V2",
    "RESHAPE",
    "TRANSPOSE",
    "EXPAND_DIMS",
    "BROADCAST_TO",
    "MINIMUM",
}


class Masks:
    """Which tensors of a float file are masked, by what they hold on calibration data."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._scores = {int(op.inputs[0]) for op in graph.ops if graph.kind(op) in SOFTMAX}
        self._infinite: set[int] = set()
        self._huge: set[int] = set()
        self._between: set[int] = set()
        self._counting: dict[int, tuple[float, float]] = {}

    def see(self, tensor: int, values: np.ndarray) -> None:
        if not values.size:
            return
        if not np.isfinite(values).all():
            self._infinite.add(tensor)
        size = np.abs(values)
        if float(size.max()) >= _HUGE:
            self._huge.add(tensor)
            if ((size >= _SMALL) & (size < _HUGE)).any():
                self._between.add(tensor)
        if tensor in self._scores:
            counting = values[(values >= values.max(axis=-1, keepdims=True) - _COUNTS) & (size < _HUGE)]
            low, high = self._counting.get(tensor, (0.0, 0.0))
            self._counting[tensor] = min(low, counting.min(initial=0.0)), max(high, counting.max(initial=0.0))

    def tensors(self, extremes: Extremes) -> set[int]:
        found = self._infinite | (self._huge - self._between)
        for scores, (low, high) in self._counting.items():
            least, way = max(high - low, 1e-6) * _WIDER, [scores]
            while way:
                tensor = way.pop()
                if tensor in extremes.low and extremes.high[tensor] - extremes.low[tensor] > least:
                    found.add(tensor)
                    way += self._sources(tensor)
        return found

    def _sources(self, tensor: int) -> list[int]:
        made = [op for op in self._graph.ops if tensor in op.outputs and self._graph.kind(op) in _ON_THE_WAY]
        return [int(i) for op in made for i in op.inputs]


def around(graph: Graph, tensors: set[int]) -> list[Any]:
    """The operators that compute or read one of these tensors."""
    return [op for op in graph.ops if tensors & {int(i) for i in (*op.inputs, *op.outputs)}]
