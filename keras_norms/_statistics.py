"""Means and variances that are accurate far from zero, leave out masked positions, and are finite for empty batches.

p   = stop_gradient(a mean or a value of x)        the pivot, any number in the range of x
c   = x - p
m   = mean(c)                                      how far the pivot is from the mean
var = mean((c - m0)^2) - (m - m0)^2                m0 = stop_gradient(m), so the last term is 0 in value
y   = c*s + (beta - m*s)                           (x - mean)*s + beta without rounding at mean*s
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from keras import ops

from keras_norms._types import Dtype, MeanOf, Tensor


class Moments(NamedTuple):
    """Mean and variance that broadcast against the input. The mean is kept as pivot + offset."""

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
        """These statistics where count is above 0, elsewhere the other ones: an update with those changes nothing."""
        if isinstance(count, int):
            return self if count else otherwise
        return Statistics(*(ops.where(count > 0, a, b) for a, b in zip(self, otherwise, strict=True)))


def moments(x: Tensor, mean_of: MeanOf, pivot: Tensor | None = None) -> Moments:
    """Moments of x. mean_of(v) has to be the mean of v, a tensor of the size of x, over the positions that count."""
    pivot = ops.stop_gradient(mean_of(x) if pivot is None else pivot)
    centred = x - pivot
    offset = mean_of(centred)
    # Were the offset in the square not held constant, the first gradient would need one more pass over x. With it, the
    # second derivatives lack those of the last term.
    constant = ops.stop_gradient(offset)
    variance = mean_of(ops.square(centred - constant)) - ops.square(offset - constant)
    return Moments(centred, pivot, offset, variance)


def first_of(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The first value along axes, or 0 where x is empty: a pivot in the range of x that needs no pass over x."""
    first = x[tuple(slice(0, 1) if a in axes else slice(None) for a in range(len(x.shape)))]
    return ops.sum(first, axis=axes, keepdims=True)


def affine(centred: Tensor, offset: Tensor | None, scale: Tensor, beta: Tensor | None) -> Tensor:
    """(centred - offset) * scale + beta. The terms without centred are small, so they are added up first."""
    if offset is None:
        scaled = centred * scale
        return scaled if beta is None else scaled + beta
    shift = -offset * scale
    return centred * scale + (shift if beta is None else shift + beta)


def corrected(
    scale: Tensor, gamma: Tensor | None, beta: Tensor | None, r: Tensor, d: Tensor
) -> tuple[Tensor, Tensor | None]:
    """The scale and beta of batch renormalization: gamma * (x_hat * r + d) + beta."""
    d = d if gamma is None else gamma * d
    return scale * r, d if beta is None else d + beta


def counted_sum(v: Tensor, axes: tuple[int, ...], mask: Tensor | None) -> Tensor:
    """The sum of v over axes, which are kept with size 1. Positions where mask is False do not count."""
    if mask is not None:
        v = ops.where(mask, v, ops.zeros((), dtype=v.dtype))
    return ops.sum(v, axis=axes, keepdims=True)


def position_count(x: Tensor, axes: Container[int], mask: Tensor | None, dtype: Dtype) -> Tensor:
    """The number of positions of x in a sum over axes: an int if the shape is known, else a tensor."""
    if mask is None:
        count = 1
        for axis, size in enumerate(ops.shape(x)):
            if axis in axes:
                count = count * size
        return count if isinstance(count, int) else ops.cast(count, dtype)
    # Along an axis where the mask has size 1, each entry of the mask stands for all positions of x.
    shape = [ops.shape(x)[a] if a in axes else n for a, n in enumerate(ops.shape(mask))]
    ones = ops.broadcast_to(ops.cast(mask, dtype), shape)
    return ops.sum(ones, axis=axes, keepdims=True)


def at_least_one(count: Tensor) -> Tensor:
    return max(count, 1) if isinstance(count, int) else ops.maximum(count, 1.0)
