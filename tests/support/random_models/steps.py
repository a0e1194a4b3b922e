"""What a random model is made of: one function for each kind of step, drawing a layer or function and its arguments.

A function returns a `Step`, or None where no tensor suits it. Whether Keras takes the step is found by making it.
"""

from __future__ import annotations

from collections.abc import Callable

from .draw import Draw
from .function_steps import again, merge, operation, pair
from .layer_steps import activate, dense, embed, masking, norm, spectral
from .recipe import Step
from .series_steps import attend, over_time, recur
from .spatial_steps import conv, pool, reshape, space

KINDS: dict[str, tuple[float, Callable[[Draw], Step | None]]] = {
    "conv": (7, conv),
    "dense": (3, dense),
    "norm": (7, norm),
    "spectral": (0.3, spectral),
    "activate": (5, activate),
    "pool": (4, pool),
    "space": (3, space),
    "reshape": (3, reshape),
    "merge": (5, merge),
    "attend": (2, attend),
    "recur": (2, recur),
    "over time": (1, over_time),
    "embed": (6, embed),
    "masking": (0.4, masking),
    "again": (1, again),
    "operation": (3, operation),
    "pair": (1, pair),
}
