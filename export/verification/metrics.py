"""How far one output is from another: the figures of a report, from arrays alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..model.relative_error import absolute_errors, largest, relative, scale

# Where one input gives a tiny output, rounding is judged against this share of what the output reaches on the others.
SMALLEST_SCALE = 1e-3


SWAPPED = 1e-2  # an output that is off by a larger share of its scale may be another one of the model's
_SAME = 1e-4


class Distance(NamedTuple):
    """The largest difference, the same as a share of the scale, and the signal's power over the error's in dB."""

    max_abs: float
    relative: float
    sqnr_db: float


NOTHING_ALIKE = Distance(np.inf, np.inf, -np.inf)


def distance(y: np.ndarray, other: np.ndarray, reached: float) -> Distance:
    """How far `other` is from `y`, an output that reaches `reached` on other inputs.

    Outputs that are classes or flags have no scale: their distance is the share of positions that differ.
    """
    if y.shape != other.shape:
        return NOTHING_ALIKE
    if y.dtype.kind not in "fc":
        share = float(np.mean(y != other)) if y.size else 0.0
        return Distance(share, share, np.inf if share == 0 else -10 * np.log10(share))
    errors = absolute_errors(y, other)
    worst = largest(errors)
    if not np.isfinite(worst):
        return NOTHING_ALIKE
    return Distance(worst, relative(worst, max(scale(y), SMALLEST_SCALE * reached)), _sqnr_db(y, errors))


def relative_errors(pairs: Iterable[tuple[np.ndarray, np.ndarray]], reached: list[float]) -> list[float]:
    """The relative distance of each pair (an output, another), given what each output reaches."""
    return [distance(y, other, top).relative for (y, other), top in zip(pairs, reached, strict=True)]


def is_same_and_not(got: np.ndarray, other: np.ndarray, own: np.ndarray) -> bool:
    """Whether `got` is `other` and not `own`."""
    return distance(other, got, 0.0).relative <= _SAME < distance(other, own, 0.0).relative


def _sqnr_db(y: np.ndarray, errors: np.ndarray) -> float:
    signal = y[np.isfinite(y)].astype(np.float64)
    power = float(np.mean(np.square(signal))) if signal.size else 0.0
    noise = float(np.mean(errors**2)) if errors.size else 0.0
    return np.inf if noise == 0 else float(10 * np.log10(max(power, 1e-300) / noise))
