"""Whether each norm of an artifact computes what the layer does from what the artifact feeds it.

A wrong epsilon or a leak between groups in one norm of many hardly moves the outputs: the next norm takes most of it
back. So a norm's input is looked for among the values of the artifact, the layer is run on what was found, and its
result is looked for in turn, also behind the activation that a converter merges, and in the forms of
`merged_constants`. Norms that were merged away are not seen, and batch norms, which are constants,
are not looked for; the outputs answer for them.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from ...model.precision import in_float64
from ...model.relative_error import scale
from ..metrics import NOTHING_ALIKE, Distance, distance
from ..recording import Call
from ..tolerance import FACTOR
from .found_values import Values
from .merged_constants import chains, divided, with_those_behind, without_constants

_INPUT = 1e-4  # a value that is nearer to what the norm takes is its input
_OUTPUT = 5e-2  # a value that is nearer to what the norm gives, as a share of how far that varies, is its result
_ALLOWED = 5e-6
_SATURATED = 6.0
_FEW = 4


class Judged(NamedTuple):
    """How far one norm of an artifact is off, as a share of its result's scale, and what is allowed."""

    layer: str
    relative: float
    allowed: float
    of_spread: float


def judge_norms(calls: list[Call], values: Values) -> list[Judged]:
    """What came of each norm that was found in the artifact."""
    judged, at_once, behind = [], set(), chains(calls)
    for i, call in enumerate(calls):
        if call.norm is None or id(call.all_steps) in at_once:
            continue
        feeds = [] if call.all_steps is None else values.within(call.all_steps, _INPUT)
        if feeds:
            at_once.add(id(call.all_steps))
        # Where an input hardly varies, several values are near to it: the norm may have been fed with any of them.
        feeds = feeds or values.within(call.taken, _INPUT)
        tried = [_judged(call, fed, values, behind[i]) for fed in feeds[:_FEW]]
        best = min(tried, key=lambda one: one.relative / one.allowed, default=None)
        if best is not None and best.of_spread <= _OUTPUT:
            judged.append(best)
    return judged


def _judged(call: Call, fed: np.ndarray, values: Values, behind: list[tuple[keras.Layer, ...]] | None) -> Judged:
    exact, own = _computed(call.norm, fed)
    results = [exact, *(() if behind is None else without_constants(call.norm, fed, _precisely))]
    allowed, forms = max(_ALLOWED, FACTOR * own), [*activated(exact), *results[1:]]
    found = _nearest(forms, values)
    if found.relative > allowed and behind is not None:
        merged = [y for chain in behind for y in with_those_behind(results, chain, _precisely)]
        forms += [form for y in merged for form in activated(y)]
        found = _nearest(forms, values, but=divided(call.norm, fed, _precisely))
    return Judged(call.layer, found.relative, allowed, found.max_abs / max(float(np.ptp(exact)), 1e-30))


def _nearest(forms: list[np.ndarray], values: Values, but: np.ndarray | None = None) -> Distance:
    looked_for = (y for y in forms if scale(y))  # zeros look like any other zeros
    found = (values.nearest(y, but).distance for y in looked_for)
    return min(found, key=lambda d: d.relative, default=NOTHING_ALIKE)


def activated(y: np.ndarray) -> list[np.ndarray]:
    """A result as it may stand in an artifact: itself, or behind an activation that was merged into its operation."""
    return [y, np.maximum(y, 0), np.clip(y, 0, _SATURATED)]


def _computed(norm: keras.Layer, x: np.ndarray) -> tuple[np.ndarray, float]:
    """What a norm makes of `x`, in float64 where there is one, and by how much of its scale rounding moves that.

    The layer may round less than any file can: the mean of `x` is known to a rounding step of `x` at best.
    """
    rounded = _run(norm, x)
    steps = np.random.default_rng(0).choice([-1.0, 1.0], x.shape) * scale(x) * np.finfo("float32").eps / 2
    try:
        with in_float64(norm):
            exact, stepped = (_run(norm, x.astype("float64") + by) for by in (0.0, steps))
    except Exception:  # each backend raises kinds of its own
        exact, stepped = rounded, _run(norm, (x + steps).astype("float32"))
    return exact, max(distance(exact, other, 0.0).relative for other in (rounded, stepped))


def _precisely(layer: keras.Layer, x: np.ndarray) -> np.ndarray:
    return _computed(layer, x)[0]


def _run(norm: keras.Layer, x: np.ndarray) -> np.ndarray:
    y: np.ndarray = keras.ops.convert_to_numpy(norm(keras.ops.convert_to_tensor(x, x.dtype.name), training=False))
    return y
