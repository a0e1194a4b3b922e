"""Group, instance, layer and RMS normalization for runtimes that compute in half precision, such as phones' GPUs.

A half holds at most 65504, so the square of 256 is infinite; below 6.1e-5 it loses digits or is zero, and an epsilon of
1e-6 with it. So the input is brought to [-1, 1] before anything is summed, and its deviations before they are squared:

    m  = max |x|                       u = x / m
    c  = u - mean(u)                   (RMS normalization: c = u)
    s  = max(max |c|, sqrt(epsilon) / m, 2^-12)
    w  = c / s                         v = mean(w^2)
    r  = sqrt(epsilon) / (m * s)       at most 1; epsilon itself stands nowhere
    y  = w * (gamma / sqrt(v + r^2)) + beta

Any m and s give the same y but for rounding, so in single precision this is the same normalization as the default form.
Means are taken axis by axis: a half stops counting ones at 2048. Costs about twice the passes of the default form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from ..model.float16 import FLOAT16_SMALLEST_NORMAL
from .layer_norm import lower_by
from .parameters import broadcast, float64
from .rms_norm import scale_of, scaled

_LEAST_MAGNITUDE = 2.0**-10
_LEAST_DEVIATION = 2.0**-12
Reduce = Callable[[Any, Callable[..., Any]], Any]


def lower_group(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    gamma = float64(layer.gamma) if layer.scale else None
    beta = float64(layer.beta) if layer.center else None

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        shape, axis = tuple(x.shape), layer.axis % x.ndim
        groups = getattr(layer, "groups", -1)
        groups = shape[axis] if groups == -1 else groups
        if x.ndim == 5 and None not in shape[1:]:  # volumes as pictures: delegates have no fifth dimension
            merged = (shape[1], shape[2] * shape[3], shape[4]) if axis == 1 else (shape[1] * shape[2], *shape[3:])
            x, axis = ops.reshape(x, (-1, *merged)), 1 if axis == 1 else axis - 1

        def each(value: Any, reduce: Callable[..., Any]) -> Any:
            return _over_groups(value, reduce, axis, groups)

        y = _scaled(x, each, layer.epsilon)
        y = y if gamma is None else y * broadcast(gamma, axis, x.ndim)
        y = y if beta is None else y + broadcast(beta, axis, x.ndim)
        return ops.cast(y if x.ndim == len(shape) else ops.reshape(y, (-1, *shape[1:])), layer.compute_dtype)

    return call


def lower_layer(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any] | None:
    def standardized(x: Any, axes: list[int], epsilon: float, uncentred: bool) -> Any:
        return _scaled(x, lambda value, reduce: _over(value, reduce, axes), epsilon, uncentred=uncentred)

    return lower_by(standardized, layer)


def lower_rms(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    scale = scale_of(layer)

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        y = _scaled(x, lambda value, reduce: _over(value, reduce, axes), layer.epsilon, centre=False)
        return ops.cast(scaled(y, scale), layer.compute_dtype)

    return call


def _scaled(x: Any, each: Reduce, epsilon: float, centre: bool = True, uncentred: bool = False) -> Any:
    """x normalized, `each(value, reduce)` being the reduction that the norm's statistics are taken over.

    `centre=False` takes the mean of squares for the variance; `uncentred` only divides x by the deviation.
    """
    root = math.sqrt(epsilon)
    m = ops.maximum(each(ops.absolute(x), ops.max), _LEAST_MAGNITUDE)
    u = x / m
    c = u - each(u, ops.mean) if centre else u
    s = ops.maximum(ops.maximum(each(ops.absolute(c), ops.max), root / m), _LEAST_DEVIATION)
    w = c / s
    r = root / (m * s)
    deviation = ops.sqrt(each(w * w, ops.mean) + r * r)
    return (u / s if uncentred else w) / ops.maximum(deviation, FLOAT16_SMALLEST_NORMAL)


def _over(x: Any, reduce: Callable[..., Any], axes: list[int]) -> Any:
    for axis in axes:
        x = reduce(x, axis=axis, keepdims=True)
    return x


def _over_groups(x: Any, reduce: Callable[..., Any], axis: int, groups: int) -> Any:
    """Over positions and the channels of each group, laid along the channels again: [N, 1, ..., C, ..., 1]."""
    channels = x.shape[axis]
    reduced = _over(x, reduce, [i for i in range(1, x.ndim) if i != axis])
    if groups == channels:
        return reduced
    grouped = reduce(ops.reshape(reduced, (-1, groups, channels // groups)), axis=-1, keepdims=True)
    # A product broadcasts in every runtime; older versions of XNNPACK fail on a TILE whose batch is free.
    spread = grouped * np.ones((1, groups, channels // groups), np.float32)
    return ops.reshape(spread, [-1 if i == 0 else channels if i == axis else 1 for i in range(x.ndim)])
