"""One look at a float file on the calibration data: extremes of its tensors, and kernels rounded for what they get."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np

from ....model.layer_names import NORM_SCOPE
from ....model.user_inputs import Arrays
from ....progress import Progress, counted
from ..flatbuffer_graph import Graph
from .kernel_rounding import patches_of, round_layer, rounded_layers
from .masked_scores import Masks
from .observer import watch
from .ranges import Extremes

EXAMPLES_LOOKED_INTO = 64  # for roundings and histograms, which gain little from more


def in_norm(graph: Graph, tensor: int) -> bool:
    return f"/{NORM_SCOPE}/" in graph.name(int(tensor))


def look(
    graph: Graph,
    flatbuffer: bytes,
    batches: list[Arrays],
    say: Progress,
    by_channel: Iterable[int] = (),
    within_norms: bool = False,
    masks: Masks | None = None,
) -> Extremes:
    """Round the kernels, and return the extremes of the tensors that are computed: outside of norms, or all.

    `masks` sees the same tensors.
    """
    extremes = Extremes(by_channel)
    seen = [op for op in graph.ops if within_norms or not in_norm(graph, op.outputs[0])]
    computed = {int(i) for op in graph.ops for i in op.outputs} | {int(i) for i in graph.subgraph.inputs}
    touched = {int(i) for op in seen for i in (*op.inputs, *op.outputs)}
    tensors = sorted(i for i in computed & touched if graph.is_float(i))
    # The weights within an integer norm are exact in 8 bits.
    ops = [op for op in rounded_layers(graph) if not (within_norms and in_norm(graph, op.outputs[0]))]
    patches = [(op, patches_of(graph, op, min(len(batches), EXAMPLES_LOOKED_INTO))) for op in ops]
    running = counted(batches, say, "calibration examples run", len(batches[0][0]))

    def watched(tensor: int, values: np.ndarray) -> None:
        extremes.see(tensor, values)
        if masks is not None:
            masks.see(tensor, values)

    def see(tensor: int, values: np.ndarray) -> None:
        watched(tensor, values)
        for op, gathered in patches:
            if int(op.inputs[0]) == tensor:
                gathered.add(values)

    watch(flatbuffer, islice(running, EXAMPLES_LOOKED_INTO), tensors, see)
    watch(flatbuffer, running, tensors, watched)
    for op, gathered in counted(patches, say, "kernels rounded"):
        round_layer(graph, op, gathered)
    return extremes
