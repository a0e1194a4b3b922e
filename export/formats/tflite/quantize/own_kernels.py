"""The kernels of convolutions as the model has them, for those that stay in float after all were rounded to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..flatbuffer_graph import Graph
from .equalizing import scale_weights


class OwnKernels:
    """Kernels and biases of the convolutions of a graph, kept before anything rewrites them."""

    def __init__(self, graph: Graph, kinds: tuple[str, ...]) -> None:
        self._graph = graph
        # The operators themselves are kept too: an id is one's own only as long as it lives.
        self._kept = {id(op): (op, self._constants(op)) for op in graph.ops if graph.kind(op) in kinds}

    def _constants(self, op: Any) -> list[Any]:
        return [self._graph.constant(int(i)) for i in op.inputs[1:]]

    def restore(self, op: Any, scaled: tuple[np.ndarray, np.ndarray] | None) -> None:
        """Give `op` its own kernel and bias again; `scaled` is the scale and the offset that it was equalized with."""
        name = self._graph.name(int(op.outputs[0])).split(";")[0]
        inputs = [int(i) for i in op.inputs]
        for place, values in enumerate(self._kept[id(op)][1], 1):
            if values is not None:
                inputs[place] = self._graph.add_constant(values, f"{name}/{('kernel', 'bias')[place - 1]}")
        op.inputs = np.array(inputs, np.int32)
        if scaled is not None:
            scale_weights(self._graph, op, *scaled)
