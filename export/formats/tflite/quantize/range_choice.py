"""Which ranges a network without norms takes: clipped where each tensor loses least, or from extreme to extreme.

What a tensor loses is not what the network loses. In trained networks the largest values may be what counts, and no
norm behind brings back what clipping takes. So both files are made, and the one that is closer to the float file on
calibration data is kept. Norms, which stay in float, make the choice too small to matter: .1 to .5 dB either way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ....model.user_inputs import Arrays
from ..flatbuffer_graph import Graph
from .ranges import Extremes
from .sensitivity import outputs_of

Ranges = dict[int, tuple[float, float]]
_EXAMPLES = 32


def chosen(
    clipped: Ranges, extremes: Extremes, make: Callable[[Ranges], bytes], flatbuffer: bytes, batches: list[Arrays]
) -> Ranges:
    """`clipped`, or the whole range of each tensor; `make` quantizes with ranges, inputs and outputs in float."""
    whole = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in clipped}
    examples = batches[:: max(1, len(batches) // _EXAMPLES)][:_EXAMPLES]
    expected = outputs_of(Graph(flatbuffer), flatbuffer, examples)

    def error(ranges: Ranges) -> float:
        made = make(ranges)
        got = outputs_of(Graph(made), made, examples)
        return float(np.sum((got - expected) ** 2)) if got.shape == expected.shape else np.inf

    return min((clipped, whole), key=error)
