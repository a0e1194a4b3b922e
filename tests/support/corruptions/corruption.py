"""One fault, and those that numbers can have whatever the format is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SMALLEST_EPSILON, LARGEST_EPSILON = 1e-8, 2e-2


@dataclass(frozen=True)
class Corruption:
    """A fault: its kind, where it is, and how the file is made of the sound one."""

    kind: str
    where: str
    of: Callable[[bytes], bytes]


def weight_faults(w: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """The faults of a weight of floats; what is no float (8-bit integers) has those that integers can have."""
    for share in (0.001, 0.01, 0.1):
        if w.dtype.kind == "f" or share > 0.05:
            yield f"weights by {share:.1%}".replace(".0%", "%").replace("%", " %"), _cast(w * (1 + share), w.dtype)
    i = int(rng.integers(w.size))
    one = w.astype("float64")
    one.flat[i] += 0.5 * np.abs(one).max() * (1 if one.flat[i] < 0 else -1)
    yield "one weight", _cast(one, w.dtype)
    yield "one bit of a weight", _flipped(w, i, rng)
    axes = [axis for axis, size in enumerate(w.shape) if size > 1]
    for axis in axes[:1] + axes[1:][-1:]:
        yield "channels swapped", _swapped(w, axis, rng)
    pairs = [(a, b) for a in axes for b in axes if a < b and w.shape[a] == w.shape[b]]
    if pairs:
        yield "kernel transposed", np.ascontiguousarray(np.swapaxes(w, *pairs[0]))


def is_epsilon(w: np.ndarray) -> bool:
    """Whether a constant may be what a norm adds to its variance."""
    return w.size == 1 and w.dtype.kind == "f" and SMALLEST_EPSILON <= float(w.flat[0]) <= LARGEST_EPSILON


def _cast(w: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if dtype.kind == "f":
        return w.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.round(w), info.min, info.max).astype(dtype)


def _flipped(w: np.ndarray, i: int, rng: np.random.Generator) -> np.ndarray:
    """One of the upper bits of one number, but none that makes it infinite."""
    bits = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}[8 * w.itemsize]
    top = {2: 10, 4: 23, 8: 52}[w.itemsize] if w.dtype.kind == "f" else 8 * w.itemsize - 1
    changed = np.ascontiguousarray(w).copy().view(bits)
    changed.flat[i] ^= bits(1 << int(rng.integers(max(0, top - 4), top + (w.dtype.kind == "f"))))
    return changed.view(w.dtype).reshape(w.shape)


def _swapped(w: np.ndarray, axis: int, rng: np.random.Generator) -> np.ndarray:
    a, b = rng.choice(w.shape[axis], 2, replace=False)
    order = np.arange(w.shape[axis])
    order[[a, b]] = order[[b, a]]
    return np.ascontiguousarray(np.take(w, order, axis))
