"""Moments that stay accurate far from zero, leave masked positions out, and survive having nothing to count.

p   = stop_gradient(a mean or a value of x)        the pivot, any number in the range of x
c   = x - p
m   = mean(c)                                      how far the pivot is from the mean
var = mean((c - stop_gradient(m))^2)
y   = c*s + (beta - m*s)                           (x - mean)*s + beta without rounding at mean*s
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from keras import ops

from keras_norms._types import Dtype, MeanOf, Tensor


class Moments(NamedTuple):
    """Mean and variance, each broadcasting against the input; mean == pivot + offset."""

    centred: Tensor  # x - pivot, full size
    pivot: Tensor
    offset: Tensor
    variance: Tensor

    @property
    def mean(self) -> Tensor:
        return self.pivot + self.offset


class Statistics(NamedTuple):
    """A mean and a variance."""

    mean: Tensor
    variance: Tensor

    def where(self, count: Tensor, otherwise: Statistics) -> Statistics:
        """These statistics, or the other ones where nothing was counted, so that an update with them moves nothing."""
        if isinstance(count, int):
            return self if count else otherwise
        return Statistics(*(ops.where(count > 0, a, b) for a, b in zip(self, otherwise, strict=True)))


def moments(x: Tensor, mean_of: MeanOf, pivot: Tensor | None = None) -> Moments:
    """Moments of x, where mean_of(v) is the mean of a full-size v over the positions that count."""
    pivot = ops.stop_gradient(mean_of(x) if pivot is None else pivot)
    centred = x - pivot
    offset = mean_of(centred)
    variance = mean_of(ops.square(centred - ops.stop_gradient(offset)))
    return Moments(centred, pivot, offset, variance)


def first_of(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The first value along axes, 0 where there is none: a pivot from within the range of x, without a pass over it."""
    first = x[tuple(slice(0, 1) if a in axes else slice(None) for a in range(len(x.shape)))]
    return ops.sum(first, axis=axes, keepdims=True)


def affine(centred: Tensor, offset: Tensor | None, scale: Tensor, beta: Tensor | None) -> Tensor:
    """(centred - offset) * scale + beta, with the small terms gathered first."""
    if offset is None:
        scaled = centred * scale
        return scaled if beta is None else scaled + beta
    shift = -offset * scale
    return centred * scale + (shift if beta is None else shift + beta)


def counted_sum(v: Tensor, axes: tuple[int, ...], mask: Tensor | None) -> Tensor:
    """Sum over axes, keeping them, of the positions of v that mask allows."""
    if mask is not None:
        v = ops.where(mask, v, ops.zeros((), dtype=v.dtype))
    return ops.sum(v, axis=axes, keepdims=True)


def position_count(x: Tensor, axes: Container[int], mask: Tensor | None, dtype: Dtype) -> Tensor:
    """How many positions of x a sum over axes takes in: an int where the shape tells, else a tensor."""
    if mask is None:
        count = 1
        for axis, size in enumerate(ops.shape(x)):
            if axis in axes:
                count = count * size
        return count if isinstance(count, int) else ops.cast(count, dtype)
    # Axes along which the mask is broadcast count as often as x is long there.
    shape = [ops.shape(x)[a] if a in axes else n for a, n in enumerate(ops.shape(mask))]
    ones = ops.broadcast_to(ops.cast(mask, dtype), shape)
    return ops.sum(ones, axis=axes, keepdims=True)


def at_least_one(count: Tensor) -> Tensor:
    return max(count, 1) if isinstance(count, int) else ops.maximum(count, 1.0)
