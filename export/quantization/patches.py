"""What a layer multiplies its kernel with: the moments of its patches, gathered batch by batch, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_ROWS = 8_192
_ROWS_AT_ONCE = 1_024
# From inputs and a number of patches to the patches, a row each, in the order of the kernel's numbers.
Cut = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


class Patches:
    """The second moments of `size` numbers that a layer multiplies its kernel with, on so many examples."""

    def __init__(self, size: int, cut: Cut, examples: int) -> None:
        self.size, self._cut = size, cut
        self._per_batch = max(1, -(-self._wanted() // max(1, examples)))
        self._rng = np.random.default_rng(0)
        self._sums, self._total, self._count = *self._nothing(), 0
        self._waiting: list[np.ndarray] = []

    def _wanted(self) -> int:
        """How many patches are enough."""
        return max(_ROWS, 2 * self.size)

    def _nothing(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((self.size, self.size)), np.zeros(self.size)

    def add(self, x: np.ndarray) -> None:
        self._waiting.append(self.cut(x))
        if sum(map(len, self._waiting)) >= _ROWS_AT_ONCE:
            self._multiply()

    def cut(self, x: np.ndarray) -> np.ndarray:
        """The patches of one batch, or a choice of them."""
        return self._cut(x, self._per_batch, self._rng)

    def _multiply(self) -> None:
        """Add what is waiting to the sums at once: a few large products are far faster than many small ones."""
        if self._waiting:
            rows = np.concatenate(self._waiting)
            self._waiting.clear()
            self._sum_up(rows)
            self._count += len(rows)

    def _sum_up(self, rows: np.ndarray) -> None:
        self._sums += rows.T @ rows
        self._total += rows.sum(axis=0, dtype=np.float64)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of x_i x_j and of x_i; zeros if there were no patches."""
        self._multiply()
        return self._sums / max(1, self._count), self._total / max(1, self._count)


def rows(x: np.ndarray, _count: int, _rng: np.random.Generator, size: int) -> np.ndarray:
    """The patches of a dense layer: all rows."""
    return x.reshape(-1, size)


@dataclass(frozen=True)
class Window:
    """The geometry of a 2D convolution; `padding` is in front of and behind rows and columns, or "same" in TensorFlow's
    sense."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: str | tuple[tuple[int, int], tuple[int, int]]

    def patches(self, x: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """Patches of images (batch, rows, columns, channels) at random positions of the output, or at all if few."""
        starts = [self._starts(axis, x.shape[1 + axis]) for axis in (0, 1)]
        places = x.shape[0] * len(starts[0]) * len(starts[1])
        chosen = np.arange(places) if places <= count else rng.choice(places, count, False)
        n, i, j = np.unravel_index(chosen, (x.shape[0], len(starts[0]), len(starts[1])))
        rows = starts[0][i][:, None] + self.dilations[0] * np.arange(self.kernel[0])
        columns = starts[1][j][:, None] + self.dilations[1] * np.arange(self.kernel[1])
        inside = ((rows >= 0) & (rows < x.shape[1]))[:, :, None] & ((columns >= 0) & (columns < x.shape[2]))[:, None, :]
        patches = x[
            n[:, None, None],
            rows.clip(0, x.shape[1] - 1)[:, :, None],
            columns.clip(0, x.shape[2] - 1)[:, None, :],
        ]
        found: np.ndarray = (patches * inside[..., None]).reshape(len(chosen), -1)
        return found

    def _starts(self, axis: int, size: int) -> np.ndarray:
        """Where the windows begin along one axis."""
        stride, reach = self.strides[axis], (self.kernel[axis] - 1) * self.dilations[axis] + 1
        if isinstance(self.padding, str):
            count = -(-size // stride)
            return np.arange(count) * stride - max(0, (count - 1) * stride + reach - size) // 2
        before, behind = self.padding[axis]
        return np.arange((size + before + behind - reach) // stride + 1) * stride - before
