"""Where an output is the same for every input, the last results of layers that do move are compared instead.

Fresh weights behind a norm, or a saturated sigmoid: the numbers of such an output are right whatever was broken before
it. The layers whose results move, and feed none whose results move, show all that the output hides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.relative_error import scale
from ...model.user_inputs import Arrays
from ...report.inside import MOVES
from ..recording import Call
from .found_values import Found, Values
from .norms import activated


class Deep(NamedTuple):
    """The last layers whose results move, each with the value of the artifact that is nearest to its result."""

    layer: str
    found: Found


def last_moving(calls: list[Call], others: list[Call], values: Values, compared: Arrays) -> list[Deep]:
    """`calls` and `others` are what the layers gave for two different inputs, `values` what is in the artifact for the
    first of them. Outputs of the model that are `compared` themselves are left out."""
    if [call.layer for call in calls] != [call.layer for call in others]:
        return []
    moving = {i for i, pair in enumerate(zip(calls, others, strict=True)) if pair[0].whole and _moves(*pair)}
    feeding = {taken for i in moving for taken in calls[i].takes}
    last = [calls[i] for i in sorted(moving - feeding)]
    last = [call for call in last if not any(_is_one(y, compared) for y in call.outputs)]
    return [Deep(call.layer, _nearest(y, values)) for call in last for y in call.outputs if scale(y)]


def _is_one(y: np.ndarray, compared: Arrays) -> bool:
    return any(y.shape == other.shape and np.array_equal(y, other) for other in compared)


def first_still(calls: list[Call], others: list[Call]) -> str | None:
    """The first layer that gives the same for two different inputs."""
    pairs = zip(calls, others, strict=False)
    return next((a.layer for a, b in pairs if a.whole and a.outputs and a.layer == b.layer and not _moves(a, b)), None)


def _nearest(y: np.ndarray, values: Values) -> Found:
    forms = [form for form in activated(y) if scale(form)]
    return min((values.nearest(form) for form in forms), key=lambda found: found.distance.relative)


def _moves(call: Call, other: Call) -> bool:
    return any(_differ(a, b) for a, b in zip(call.outputs, other.outputs, strict=False))


def _differ(a: np.ndarray, b: np.ndarray) -> bool:
    if a.shape != b.shape:
        return True
    top = max(scale(a), scale(b))
    with np.errstate(invalid="ignore"):
        return bool(top) and float(np.nan_to_num(np.abs(a - b)).max(initial=0.0)) > MOVES * top
