"""The arithmetic of folding: per-channel affine maps and the weights that absorb them.

A(z)            = scale * z + shift                 along one axis of z
A2(A1(z))       = (scale2*scale1) * z + (scale2*shift1 + shift2)
A(W z + b)      = (scale W) z + (scale b + shift)   W scaled along its output channels
W A(z) + b      = (W scale) z + (b + W shift)       W scaled along its input channels

Arrays in, arrays out, float64 inside; nothing here knows about layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def float64(values: ArrayLike) -> Array:
    """The values as a float64 array."""
    return np.asarray(values, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Affine:
    """A(z) = scale * z + shift, scale and shift being vectors along `axis` of z."""

    scale: Array
    shift: Array
    axis: int

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def has_shift(self) -> bool:
        return bool(np.any(self.shift != 0.0))

    @property
    def is_monotone(self) -> bool:
        """Whether A keeps the order of values in every channel (a scale of zero makes ties)."""
        return bool(np.all(self.scale >= 0.0))

    def along(self, axis: int) -> Affine:
        """The same map, its channels standing on another axis."""
        return Affine(self.scale, self.shift, axis)

    def part(self, start: int, stop: int) -> Affine:
        """The map of the channels start to stop."""
        return Affine(self.scale[start:stop], self.shift[start:stop], self.axis)

    def without_shift(self) -> Affine:
        return Affine(self.scale, np.zeros_like(self.shift), self.axis)

    def same(self, other: Affine) -> bool:
        """Whether both are the same map to the bit."""
        return (
            self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.shift, other.shift)
        )


def identity(size: int, axis: int) -> Affine:
    """A(z) = z."""
    return Affine(np.ones(size), np.zeros(size), axis)


def normalization(
    gamma: ArrayLike | None,
    beta: ArrayLike | None,
    mean: ArrayLike,
    variance: ArrayLike,
    epsilon: float,
    axis: int,
) -> Affine:
    """Batch normalization in inference: scale = gamma / sqrt(variance + epsilon), shift = beta - mean * scale."""
    scale = (1.0 if gamma is None else float64(gamma)) / np.sqrt(float64(variance) + epsilon)
    shift = (0.0 if beta is None else float64(beta)) - float64(mean) * scale
    return Affine(scale, shift, axis)


def scale_axis(kernel: Array, scale: Array, axis: int) -> Array:
    """The kernel times scale, which lies along one of its axes."""
    shape = [1] * kernel.ndim
    shape[axis] = len(scale)
    return kernel * scale.reshape(shape)


def scale_output_bias(bias: Array | None, affine: Affine) -> Array | None:
    """scale * bias + shift; None where there was no bias and none is needed."""
    if bias is None:
        return affine.shift.copy() if affine.has_shift else None
    return bias * affine.scale + affine.shift


def add_bias(bias: Array | None, addend: Array) -> Array | None:
    """bias + addend; None where there was no bias and none is needed."""
    if bias is None:
        return addend if np.any(addend != 0.0) else None
    return bias + addend


def tap_sum(kernel: Array) -> Array:
    """A convolution kernel summed over its positions; its last two axes are left."""
    summed: Array = kernel.sum(axis=tuple(range(kernel.ndim - 2)))
    return summed


def input_scale_grouped(kernel: Array, affine: Affine, groups: int) -> tuple[Array, Array]:
    """A convolution kernel (..., in/groups, out) that takes z for A(z), and what the bias gains.

    Group g of the output channels sees the input channels g*in/groups to (g+1)*in/groups.
    """
    per_group, outputs = kernel.shape[-2:]
    channel = np.arange(per_group)[:, None] + per_group * (np.arange(outputs) // (outputs // groups))[None, :]
    gain = np.einsum("io,io->o", tap_sum(kernel), affine.shift[channel])
    return kernel * affine.scale[channel], gain


def reshaped(affine: Affine, shape: Sequence[int | None], target: Sequence[int | None]) -> Affine | None:
    """The map A becomes when its tensor is reshaped from `shape` to `target`; None if it is no longer along one axis.

    Both shapes begin with the batch, which stays. Only a channel axis that is last and stays so survives free sizes.
    """
    channels = len(affine)
    if affine.axis == len(shape) - 1 and target[-1] == channels and len(target) > 1:
        return affine.along(len(target) - 1)
    if affine.axis == 0 or any(n is None for n in (*shape[1:], *target[1:])):
        return None
    source, goal = [int(n or 0) for n in shape[1:]], [int(n or 0) for n in target[1:]]
    if math.prod(source) != math.prod(goal) or 0 in goal:
        return None
    view = [1] * len(source)
    view[affine.axis - 1] = channels
    # The map is along one axis of the target if all slices across the other axes are equal.
    spread = [np.broadcast_to(v.reshape(view), source).reshape(goal) for v in (affine.scale, affine.shift)]
    for axis in range(len(goal) - 1, -1, -1):
        rows = [np.moveaxis(v, axis, 0).reshape(goal[axis], -1) for v in spread]
        if all(np.array_equal(r, np.broadcast_to(r[:, :1], r.shape)) for r in rows):
            return Affine(rows[0][:, 0].copy(), rows[1][:, 0].copy(), axis + 1)
    return None
