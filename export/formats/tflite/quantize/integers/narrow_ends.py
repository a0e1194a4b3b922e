"""Inputs and outputs of 8 bits where the operators beside them compute in 16."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...flatbuffer_graph import Graph, Quantized
from .grids import Grid


def narrow_ends(graph: Graph, narrow: Mapping[int, Grid]) -> None:
    """A QUANTIZE behind each output, and before each input, that `narrow` has a grid of 8 bits for."""
    signature = graph.model.signatureDefs[0]
    subgraph = graph.subgraph
    for tensor in _ends(signature.inputs, narrow):
        made = _narrow(graph, tensor, narrow[tensor], "input")
        graph.insert("QUANTIZE", graph.ops[0], [made], tensor)
        subgraph.inputs = _replaced(signature.inputs, subgraph.inputs, tensor, made)
    for tensor in _ends(signature.outputs, narrow):
        made = _narrow(graph, tensor, narrow[tensor], "output")
        graph.insert("QUANTIZE", None, [tensor], made)
        subgraph.outputs = _replaced(signature.outputs, subgraph.outputs, tensor, made)
    graph.index()


def _ends(entries: Sequence[Any], narrow: Mapping[int, Grid]) -> list[int]:
    return list(dict.fromkeys(int(entry.tensorIndex) for entry in entries if int(entry.tensorIndex) in narrow))


def _narrow(graph: Graph, tensor: int, on: Grid, end: str) -> int:
    quantized = Quantized(on.scale, 0, on.zero_point)
    return graph.add_tensor(graph.shape(tensor), f"{graph.name(tensor)}/{end}", on.dtype, quantized)


def _replaced(entries: Sequence[Any], places: Any, old: int, new: int) -> np.ndarray:
    """The inputs or outputs with another tensor in the place of one; in the signature too."""
    for entry in entries:
        if int(entry.tensorIndex) == old:
            entry.tensorIndex = new
    return np.array([new if int(i) == old else int(i) for i in places], np.int32)
