"""The values between the operations of an artifact, and which of them is a given array, whatever its layout.

Comparing every value in full takes long in a large model. So a few positions are compared first: they tell which values
may be the nearest one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.relative_error import absolute_errors, largest, scale
from ...model.user_inputs import Arrays
from ..metrics import NOTHING_ALIKE, Distance, distance

Order = tuple[int, int] | None  # where an axis of a layer's result stands in the file, if elsewhere
_POSITIONS = 251
_SAME = 5e-6


class Found(NamedTuple):
    """How far the nearest value is, and that value in the layout of what was looked for."""

    distance: Distance
    value: np.ndarray | None


class Values:
    """Float arrays, flat, by their sizes."""

    def __init__(self, values: Arrays) -> None:
        self._by_size: dict[int, list[np.ndarray]] = {}
        for value in values:
            self._by_size.setdefault(value.size, []).append(value.ravel())

    def nearest(self, y: np.ndarray, but: np.ndarray | None = None) -> Found:
        """The value that is nearest to `y`, with channels last, first, or as `y` has them; none that is `but`."""
        best = Found(NOTHING_ALIKE, None)
        for least, order, value in self._likely(y):
            if least >= best.distance.relative:
                break
            back = in_layout(value, y, order)
            found = distance(y, back, 0.0)
            if found.relative < best.distance.relative and not (but is not None and _is_same(but, back)):
                best = Found(found, back)
        return best

    def nearest_within(self, y: np.ndarray, most: float) -> np.ndarray | None:
        """The value that is nearest to `y` if it is at most `most` away, not as a share of its scale; in its layout."""
        best: tuple[float, np.ndarray | None] = np.nextafter(most, np.inf), None
        top = max(scale(y), 1e-30)
        for least, order, value in self._likely(y):
            if least * top >= best[0]:
                break
            back = in_layout(value, y, order)
            off = largest(absolute_errors(y, back))
            if off < best[0]:
                best = off, back
        return best[1]

    def within(self, y: np.ndarray, relative: float) -> list[np.ndarray]:
        """The values that are at most `relative` from `y`, the likeliest first, in its layout."""
        near = [in_layout(value, y, order) for least, order, value in self._likely(y) if least <= relative]
        return [value for value in near if distance(y, value, 0.0).relative <= relative]

    def _likely(self, y: np.ndarray) -> list[tuple[float, Order, np.ndarray]]:
        """For each value and layout the distance at a few positions, which is at most the distance, smallest first."""
        candidates, found = self._by_size.get(y.size, []), []
        at = np.linspace(0, y.size - 1, min(y.size, _POSITIONS)).astype(int)
        top = max(scale(y), 1e-30)
        for order in layouts(y):
            flat = in_order(y, order)
            few = flat[at].astype(np.float64)
            with np.errstate(invalid="ignore"):
                off = [np.nan_to_num(np.abs(value[at] - few), nan=np.inf).max() for value in candidates]
            found += [(float(least) / top, order, value) for least, value in zip(off, candidates, strict=True)]
        return sorted(found, key=lambda row: row[0])


def _is_same(y: np.ndarray, value: np.ndarray) -> bool:
    return distance(y, value, 0.0).relative <= _SAME


def layouts(y: np.ndarray) -> list[Order]:
    """The layouts in which a file may have `y`: as it is, channels first, channels last."""
    return [None, (-1, 1), (1, -1)] if y.ndim > 2 else [None]


def in_order(y: np.ndarray, order: Order) -> np.ndarray:
    """`y` in the layout `order`, flat."""
    return np.moveaxis(y, *order).ravel() if order else y.ravel()


def in_layout(value: np.ndarray, y: np.ndarray, order: Order) -> np.ndarray:
    """A flat value of the layout `order` in that of `y`."""
    if order is None:
        return value.reshape(y.shape)
    source, target = order
    moved = np.moveaxis(np.empty(y.shape, bool), source, target).shape
    return np.moveaxis(value.reshape(moved), target, source)


def unstretched(value: np.ndarray, y: np.ndarray) -> np.ndarray:
    """a * value + b with the b and the positive a of each channel that bring it next to `y`."""
    axes = tuple(range(y.ndim - 1))
    with np.errstate(all="ignore"):
        v, centred = value - value.mean(axes), y - y.mean(axes)
        a = (v * centred).sum(axes) / np.maximum((v * v).sum(axes), 1e-30)
        return np.asarray(np.maximum(a, 0) * v + y.mean(axes))
