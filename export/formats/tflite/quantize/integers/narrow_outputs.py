"""Outputs of 8 bits where a norm of 16 bits computes them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...flatbuffer_graph import Graph, Quantized
from .grids import Grid


def narrow_outputs(graph: Graph, narrow: Mapping[int, Grid]) -> None:
    """Behind each output that `narrow` has a grid for, a QUANTIZE to that grid, which becomes the output."""
    for entry in graph.model.signatureDefs[0].outputs:
        tensor = int(entry.tensorIndex)
        if tensor in narrow:
            on = narrow[tensor]
            quantized = Quantized(on.scale, 0, on.zero_point)
            made = graph.add_tensor(graph.shape(tensor), f"{graph.name(tensor)}/output", on.dtype, quantized)
            graph.insert("QUANTIZE", None, [tensor], made)
            entry.tensorIndex = made
            graph.subgraph.outputs = np.array(
                [made if int(i) == tensor else i for i in graph.subgraph.outputs], np.int32
            )
    graph.index()
