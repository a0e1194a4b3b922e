"""Reciprocal roots in 16 bits that an NPU computes well, too, where the variance is small.

An NPU's compiler makes 512 linear pieces of a reciprocal root, the first of which are far off. So the root is taken of
the variance v on a grid 64 times finer as well, which holds only small ones, and the smaller of the two counts: a
chord lies above the root, and above the end of the finer grid its root stays what it is there.

    k = min(rsqrt(v), rsqrt(v on the finer grid))
"""

from __future__ import annotations

import numpy as np

from ...flatbuffer_graph import Graph, Quantized, position
from .grids import Grid

_FINER = 64


def add_second_roots(graph: Graph, grids: dict[int, Grid]) -> None:
    """Rewrite each reciprocal root in 16 bits of a graph of integers."""
    for op in [op for op in graph.ops if graph.kind(op) == "RSQRT"]:
        v, k = int(op.inputs[0]), int(op.outputs[0])
        if grids[v].bits != 16:
            continue
        name = graph.name(k)
        fine = graph.add_tensor(graph.shape(v), f"{name}/fine", np.int16, Quantized(grids[v].scale / _FINER))
        roots = [
            graph.add_tensor(graph.shape(k), f"{name}/{part}", np.int16, Quantized(grids[k].scale))
            for part in ("of all", "of small ones")
        ]
        op.outputs = np.array([roots[0]], np.int32)
        place = position(graph, op) + 1
        following = graph.ops[place] if place < len(graph.ops) else None
        graph.insert("QUANTIZE", following, [v], fine)
        graph.insert("RSQRT", following, [fine], roots[1])
        graph.insert("MINIMUM", following, roots, k)
    graph.index()
