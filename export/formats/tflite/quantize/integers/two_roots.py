"""Reciprocal roots in 16 bits that an NPU computes well, too, where the variance is small.

An NPU's compiler, and LiteRT, make 512 linear pieces of a reciprocal root, the first of which are far off. So the root
is taken of the variance v on a grid 64 times finer as well, which holds only small ones, and the smaller of the two
counts: a chord lies above the root, and above the end of the finer grid its root stays what it is there.

    k = min(rsqrt(v), rsqrt(v on the finer grid))

The finer v is computed again from the squares, or from their means over rows: it is not what was rounded for the other.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...flatbuffer_graph import Graph, position

_FINER = 64.0
_STEPS = ("CONV_2D", "ADD", "MEAN")  # from the squares to their mean plus epsilon


def add_second_roots(graph: Graph, ranges: dict[int, tuple[float, float]]) -> None:
    """Rewrite each reciprocal root of a float graph; `ranges` gets those of the new tensors."""
    for op in [op for op in graph.ops if graph.kind(op) == "RSQRT"]:
        v, k = int(op.inputs[0]), int(op.outputs[0])
        fine = _finer(graph, v, op, ranges)
        roots = [graph.add_tensor(graph.shape(k), f"{graph.name(k)}/{part}") for part in ("of all", "of small ones")]
        op.outputs = np.array([roots[0]], np.int32)
        place = position(graph, op) + 1
        following = graph.ops[place] if place < len(graph.ops) else None
        graph.insert("RSQRT", following, [fine], roots[1])
        graph.insert("MINIMUM", following, roots, k)
        ranges.update(dict.fromkeys(roots, ranges[k]))
    graph.index()


def _finer(graph: Graph, tensor: int, before: Any, ranges: dict[int, tuple[float, float]]) -> int:
    """The same tensor for the finer grid: computed once more, or rounded again where its own rounding is not felt."""
    maker = graph.maker(tensor)
    made = graph.add_tensor(graph.shape(tensor), f"{graph.name(tensor)}/fine")
    source = int(maker.inputs[0])
    if graph.kind(maker) not in _STEPS or (graph.kind(maker) == "CONV_2D" and _is_small(graph, source)):
        graph.insert("QUANTIZE", before, [tensor], made)  # a mean over a group evens out the rounding
    else:
        again = copy.copy(maker)
        if _is_small(graph, source):
            again.inputs = np.array([_finer(graph, source, before, ranges), *maker.inputs[1:]], np.int32)
        again.outputs = np.array([made], np.int32)
        graph.ops.insert(position(graph, before), again)
    low, high = ranges[tensor]
    ranges[made] = low / _FINER, high / _FINER
    return made


def _is_small(graph: Graph, tensor: int) -> bool:
    """Whether a tensor has no positions: what has them is computed once."""
    return all(size == 1 for size in graph.shape(tensor)[:-1])
