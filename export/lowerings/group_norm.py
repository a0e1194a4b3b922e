"""Group and instance normalization without reshaping the full-size tensor.

The mean of a group is the mean of its channels' means (each has as many positions), so only small tensors regroup:

    m_c  = mean over positions              [N, 1, C]
    mu   = mean of m_c over each group      [N, G, C/G] -> [N, 1, C]
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

from .parameters import broadcast, float64


def lower(layer: Any) -> Callable[[Any], Any]:
    gamma = float64(layer.gamma) if layer.scale else None
    beta = float64(layer.beta) if layer.center else None

    def call(inputs: Any) -> Any:
        shape = tuple(inputs.shape)
        axis = layer.axis % len(shape)
        groups = getattr(layer, "groups", -1)
        groups = shape[axis] if groups == -1 else groups
        flat = _flattened(shape, axis)
        x = ops.cast(inputs, "float32")
        if flat is not None:
            x = ops.reshape(x, flat[0])
            y = _normalize(x, flat[1], groups, layer.epsilon, gamma, beta)
            y = ops.reshape(y, (-1, *shape[1:]))
        else:
            y = _normalize(x, axis, groups, layer.epsilon, gamma, beta)
        return ops.cast(y, layer.compute_dtype)

    return call


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
    mu = _group_mean(x, axis, groups)
    centred = x - mu
    scale = ops.rsqrt(_group_mean(centred * centred, axis, groups) + epsilon)
    if gamma is not None:
        scale = scale * broadcast(gamma, axis, x.ndim)
    y = centred * scale
    return y if beta is None else y + broadcast(beta, axis, x.ndim)


def _group_mean(x: Any, axis: int, groups: int) -> Any:
    """The mean over positions and over each group of channels, once for every channel: shape [N, 1, ..., C, ..., 1]."""
    positions = [i for i in range(1, x.ndim) if i != axis]
    mean = ops.mean(x, axis=positions, keepdims=True) if positions else x
    channels = x.shape[axis]
    if groups == channels:
        return mean
    members = channels // groups
    pooled = ops.mean(ops.reshape(mean, (-1, groups, members)), axis=-1, keepdims=True)
    shape = [1] * x.ndim
    shape[0], shape[axis] = -1, channels
    return ops.reshape(ops.tile(pooled, (1, 1, members)), shape)
