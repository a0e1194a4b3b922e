"""The results of a model's layers and the values of a file, for a few pieces of the inputs, made comparable.

Both are cut alike, so the pieces of a result and of a value, laid flat one behind the other, are in the same order. Of
large ones a few positions are compared, the same for all of a size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...model.relative_error import scale
from ...model.user_inputs import Arrays
from ..inside.found_values import Order, in_order, layouts

_POSITIONS = 4096


class Value(NamedTuple):
    """A tensor of the file: its name, and its numbers, flat."""

    name: str
    flat: np.ndarray
    few: np.ndarray


class Result:
    """What a layer gives, in all pieces; it may stand in the file in several layouts."""

    def __init__(self, pieces: Arrays) -> None:
        self.pieces = pieces
        self.size = sum(y.size for y in pieces)
        self.zero = not any(scale(y) for y in pieces)
        self.few = {order: few(self.flat(order)) for order in layouts(pieces[0])}
        # Two layers that give the same numbers are one result: a dropout, a reshape.
        self.key = (self.size, self.few[None].tobytes(), float(sum(np.sum(y, dtype=np.float64) for y in pieces)))

    def is_like(self, other: Result, least: float) -> bool:
        """Whether two results are the same, in whatever layout, down to `least` dB."""
        return self.size == other.size and any(sqnr_db(self.few[None], y) >= least for y in other.few.values())

    def flat(self, order: Order) -> np.ndarray:
        """The numbers in a layout, piece after piece."""
        return np.concatenate([in_order(y, order) for y in self.pieces])

    def back(self, flat: np.ndarray, order: Order) -> Arrays:
        """The numbers of a value that has the layout `order`, in that of the result."""
        found, start = [], 0
        for y in self.pieces:
            shape = np.moveaxis(np.empty(y.shape, bool), *order).shape if order else y.shape
            part = flat[start : start + y.size].reshape(shape)
            found.append(np.moveaxis(part, order[1], order[0]) if order else part)
            start += y.size
        return found


def value_of(name: str, pieces: Sequence[np.ndarray]) -> Value:
    """A tensor of the file from what it was in each piece."""
    flat = np.concatenate([x.ravel() for x in pieces])
    return Value(name, flat, few(flat))


def few(flat: np.ndarray) -> np.ndarray:
    """The numbers at a few positions."""
    if flat.size <= _POSITIONS:
        return flat.astype(np.float64)
    at = np.sort(np.random.default_rng(flat.size).choice(flat.size, _POSITIONS, replace=False))
    return flat[at].astype(np.float64)


def sqnr_db(y: np.ndarray, other: np.ndarray) -> float:
    """The signal's power over the error's; -inf where one of them is not finite."""
    with np.errstate(all="ignore"):
        noise, power = float(np.mean(np.square(y - other))), float(np.mean(np.square(y)))
    if not np.isfinite(noise) or not np.isfinite(power):
        return -np.inf
    return np.inf if noise == 0 else float(10 * np.log10(max(power, 1e-300) / noise))
