"""Group and instance normalization in five passes over the full-size tensor, none of which regroups it (TFLite).

    m_c  = mean of x over positions                     [N, 1, 1, C]
    v_c  = mean of (x - m_c)^2 over positions           [N, 1, 1, C]
    mu   = mean of m_c over a group                     the law of total variance: what is left
    v    = mean of v_c + (m_c - mu)^2 over a group      happens in tensors of C values
    k    = gamma / sqrt(v + epsilon),   t = beta - mu * k
    y    = x * k + t

Nothing of one group meets another, so a NaN or an infinity stays in its group. y rounds at |mu * k|: an input of 1234
everywhere gives beta to 4e-3 with epsilon = 1e-3. Where a pass costs next to nothing, a sixth makes that exact too:

    y    = (x - m_c) * k + (beta + (m_c - mu) * k)

Measured (`benchmarks/norm_sequences.py`, and in a ResNet-50): MEAN is the fastest, but adds up one by one, which far
from zero costs m its digits. One window over all positions is as exact as that allows in XNNPACK; LiteRT's own kernels
add up a window one by one too, so above 64 x 64 positions the columns of a row come first, then the rows. Rounding of v
is but half as large in y, wherever x lies: up to 128 x 128 positions it is a MEAN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

_LARGEST_WINDOW = 64 * 64
_FEW_VALUES = 16_384


def normalize(x: Any, axis: int, groups: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None) -> Any:
    """`x`, of rank 3 to 5, normalized over each of `groups` groups of the channels along `axis`."""
    shape = tuple(x.shape)
    laid_out = _layout(shape, axis)
    if laid_out is None:
        return _normalize(x, axis, groups, epsilon, gamma, beta)
    sizes, axis = laid_out
    return ops.reshape(_normalize(ops.reshape(x, sizes), axis, groups, epsilon, gamma, beta), (-1, *shape[1:]))


def _layout(shape: tuple[int | None, ...], axis: int) -> tuple[tuple[int, ...], int] | None:
    """The shape to normalize in, and its channel axis; None to take x as it is."""
    sizes = [n for n in shape[1:] if n is not None]
    if len(shape) < 4 or len(sizes) < len(shape) - 1 or (len(shape) == 4 and axis == 3):
        return None
    before, channels, after = math.prod(sizes[: axis - 1]), sizes[axis - 1], math.prod(sizes[axis:])
    if axis == len(shape) - 1:
        return (-1, before // sizes[-2], sizes[-2], channels), 3
    if axis == 1:
        return (-1, channels, after), 1
    return (-1, before, channels, after), 2


def _normalize(
    x: Any, axis: int, groups: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None
) -> Any:
    channels = x.shape[axis]
    along = [-1, *(channels if i == axis else 1 for i in range(1, x.ndim))]
    grouped = (-1, groups, channels // groups)

    def constant(values: np.ndarray) -> np.ndarray:
        return values.reshape(1, *grouped[1:]).astype(np.float32)

    small = None not in x.shape[1:] and math.prod(x.shape[1:]) <= _FEW_VALUES
    mean = _mean_over_positions(x, axis)
    centred = x - mean if small else None
    # The converter makes one operator of it, SQUARED_DIFFERENCE.
    squares = ops.square(x - mean if centred is None else centred)
    m, v = (ops.reshape(part, grouped) for part in (mean, _mean_over_positions(squares, axis, squares=True)))
    mu = m
    if groups < channels:
        mu = ops.mean(m, axis=-1, keepdims=True)
        v = ops.mean(v + ops.square(m - mu), axis=-1, keepdims=True)
    # A product broadcasts in every runtime; older versions of XNNPACK fail on a TILE whose batch is free.
    k = ops.rsqrt(v + epsilon) * constant(np.ones(channels) if gamma is None else gamma)
    beta = np.zeros(channels) if beta is None else beta
    if centred is None:
        return x * ops.reshape(k, along) + ops.reshape(constant(beta) - mu * k, along)
    t = constant(beta) + (m - mu) * k if groups < channels else constant(beta)
    return centred * ops.reshape(k, along) + ops.reshape(t, along)


def _mean_over_positions(x: Any, axis: int, squares: bool = False) -> Any:
    positions = [i for i in range(1, x.ndim) if i != axis]
    if x.ndim == 4 and axis == 3:
        window = x.shape[1:3]
        count = math.inf if None in window else math.prod(window)
        if count <= _LARGEST_WINDOW:
            if squares:
                return ops.mean(x, axis=positions, keepdims=True)
            return ops.average_pool(x, window, strides=1, padding="valid", data_format="channels_last")
        return ops.mean(ops.mean(x, axis=2, keepdims=True), axis=1, keepdims=True)
    return ops.mean(x, axis=positions, keepdims=True) if positions else x
