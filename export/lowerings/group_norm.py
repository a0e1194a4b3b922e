"""Group and instance normalization without regrouping the full-size tensor.

`pooled.py` has the form for TFLite. For ONNX Runtime, which wants channels first:

The mean of a group is the mean of its channels' means (each has as many positions), so only small tensors regroup:

    m_c  = mean over positions              [N, G, C/G]
    mu   = mean of m_c over each group      [N, G, 1], laid out as [N, 1, C]
    v    = the same of (x - mu)^2
    y    = (x - mu) * (gamma / sqrt(v + epsilon)) + beta

Nothing of one group meets another, so a NaN or an infinity stays in its group. No tensor has more dimensions than x;
static positions are flattened to one dimension first, which also keeps volumes (rank 5) within four.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from . import pooled
from .parameters import broadcast, float64


def lower(layer: Any, channels_first: bool = False) -> Callable[[Any], Any]:
    gamma = float64(layer.gamma) if layer.scale else None
    beta = float64(layer.beta) if layer.center else None

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axis = layer.axis % x.ndim
        groups = getattr(layer, "groups", -1)
        groups = x.shape[axis] if groups == -1 else groups
        if not channels_first and x.ndim > 2:
            return ops.cast(pooled.normalize(x, axis, groups, layer.epsilon, gamma, beta), layer.compute_dtype)
        # The transposes meet those that a converter puts around the neighbouring convolutions, and go with them.
        moved = channels_first and axis == x.ndim - 1 > 2 and None not in x.shape[1:]
        if moved:
            x, axis = ops.moveaxis(x, -1, 1), 1
        y = _over_positions(x, axis, groups, layer.epsilon, gamma, beta)
        return ops.cast(ops.moveaxis(y, 1, -1) if moved else y, layer.compute_dtype)

    return call


def _over_positions(
    x: Any, axis: int, groups: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None
) -> Any:
    shape = tuple(x.shape)
    flat = _flattened(shape, axis)
    if flat is None:
        return _normalize(x, axis, groups, epsilon, gamma, beta)
    y = _normalize(ops.reshape(x, flat[0]), flat[1], groups, epsilon, gamma, beta)
    return ops.reshape(y, (-1, *shape[1:]))


def _flattened(shape: tuple[int | None, ...], axis: int) -> tuple[tuple[int, ...], int] | None:
    """The shape (batch, positions, channels, positions) that x is normalized in, and its channel axis."""
    sizes = shape[1:]
    if len(shape) < 4 or None in sizes:
        return None
    before, after = math.prod(shape[1:axis]), math.prod(shape[axis + 1 :])  # type: ignore[arg-type]
    if axis == len(shape) - 1:
        return (-1, before, shape[axis]), 2  # type: ignore[return-value]
    if axis == 1:
        return (-1, shape[axis], after), 1  # type: ignore[return-value]
    return (-1, before, shape[axis], after), 2  # type: ignore[return-value]


def _normalize(
    x: Any, axis: int, groups: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None
) -> Any:
    channels = x.shape[axis]
    centred = x - _to_channels(_group_mean(x, axis, groups), np.ones(channels), axis, x.ndim)
    if x.ndim == 2:
        # A group is a few values here: the rounding of their mean counts, and another look at it costs nothing.
        centred -= _to_channels(_group_mean(centred, axis, groups), np.ones(channels), axis, x.ndim)
    inverse = ops.rsqrt(_group_mean(centred * centred, axis, groups) + epsilon)
    y = centred * _to_channels(inverse, np.ones(channels) if gamma is None else gamma, axis, x.ndim)
    return y if beta is None else y + broadcast(beta, axis, x.ndim)


def _group_mean(x: Any, axis: int, groups: int) -> Any:
    """The mean over positions and over each group of channels: [N, G, 1]."""
    positions = [i for i in range(1, x.ndim) if i != axis]
    mean = ops.mean(x, axis=positions, keepdims=True) if positions else x
    mean = ops.reshape(mean, (-1, groups, x.shape[axis] // groups))
    return mean if groups == x.shape[axis] else ops.mean(mean, axis=-1, keepdims=True)


def _to_channels(grouped: Any, factors: np.ndarray, axis: int, rank: int) -> Any:
    """Multiply a value a group [N, G, 1] into a factor a channel [C], laid along `axis`: [N, 1, ..., C, ..., 1].

    A product broadcasts in every runtime; older versions of XNNPACK fail on a TILE whose batch is free.
    """
    groups = grouped.shape[1]
    product = grouped * factors.reshape(1, groups, -1).astype(np.float32)
    shape = [1] * rank
    shape[0], shape[axis] = -1, factors.size
    return ops.reshape(product, shape)
