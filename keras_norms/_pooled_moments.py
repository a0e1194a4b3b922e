"""Mean and variance of everything that a norm is given over many batches, in float64.

    n = sum n_i        mean = sum n_i mean_i / n        M = sum (M_i + n_i (mean_i - mean)^2)        var = M / n

n_i, mean_i and M_i, the sum of squared deviations from mean_i, are those of batch i. The mean of the batches' variances
would lack the second term, and count a small last batch like a full one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Rows are taken in pieces that fit the cache, as a copy of all of them in float64 would not.
_VALUES_AT_ONCE = 1 << 16


class PooledMoments:
    """Moments per channel of all rows that were added."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.mean = np.zeros(channels)
        self.squares = np.zeros(channels)

    @property
    def variance(self) -> Array:
        """The biased variance."""
        return self.squares / max(self.count, 1)

    def add(self, rows: Array) -> None:
        """Adds rows of channels."""
        # What is not finite is told by whoever reads the result.
        with np.errstate(invalid="ignore", over="ignore"):
            self._add(rows)

    def _add(self, rows: Array) -> None:
        step = max(1, _VALUES_AT_ONCE // max(1, rows.shape[1]))
        for start in range(0, len(rows), step):
            piece = rows[start : start + step].astype("float64")
            # Deviations from a value in their range lose nothing to cancellation.
            pivot = piece[0].copy()
            piece -= pivot
            offset = piece.mean(axis=0)
            squares = np.einsum("nc,nc->c", piece, piece) - len(piece) * offset**2
            self._merge(len(piece), pivot + offset, np.maximum(squares, 0.0))

    def merge(self, other: PooledMoments) -> None:
        """Adds what another was given."""
        self._merge(other.count, other.mean, other.squares)

    def _merge(self, count: int, mean: Array, squares: Array) -> None:
        if not count:
            return
        total = self.count + count
        gap = mean - self.mean
        self.mean = self.mean + gap * (count / total)
        self.squares = self.squares + squares + gap**2 * (self.count * count / total)
        self.count = total


def rows_of(x: Array, axis: int, mask: Array | None) -> Array:
    """The values of x as (positions, channels), without those where the mask, which broadcasts against x, is False."""
    rows = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])
    if mask is None:
        return rows
    counted = np.broadcast_to(mask, tuple(1 if a == axis else n for a, n in enumerate(x.shape)))
    return np.asarray(rows[np.moveaxis(counted, axis, -1).reshape(-1)])
