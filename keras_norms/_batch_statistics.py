"""The statistics of a batch norm: of what it is given, in its output, in its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras_norms import _axes
from keras_norms._norm_calls import NormCall, as_numpy
from keras_norms._pooled_moments import Array, PooledMoments, rows_of
from keras_norms._types import Tensor


def moments_of(call: NormCall) -> PooledMoments:
    """The moments of what a batch norm is given in one call."""
    x = as_numpy(call.inputs, call.layer)
    axis = call.layer.axis % x.ndim
    mask = None if call.mask is None else as_numpy(_axes.expand_mask(call.mask, call.inputs, axis), call.layer)
    moments = PooledMoments(x.shape[axis])
    moments.add(rows_of(x, axis, mask))
    return moments


def normalized_by(call: NormCall, moments: PooledMoments) -> Tensor:
    """What a batch norm makes of its input with these statistics."""
    layer, x = call.layer, ops.convert_to_tensor(call.inputs)
    wide = "float64" if layer.compute_dtype == "float64" else "float32"
    shape = _axes.broadcast_shape([layer.axis % len(x.shape)], x.shape)
    scale = 1.0 / np.sqrt(moments.variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * ops.convert_to_numpy(layer.gamma)
    y = (ops.cast(x, wide) - _as(moments.mean, wide, shape)) * _as(scale, wide, shape)
    if layer.beta is not None:
        y = y + ops.reshape(ops.cast(layer.beta, wide), shape)
    return ops.cast(y, layer.compute_dtype)


def _as(values: Array, dtype: str, shape: Any) -> Tensor:
    return ops.convert_to_tensor(values.astype(dtype).reshape(shape))


def statistics_of(layer: Any) -> list[Any]:
    """The weights of a batch norm that hold statistics. Keras' `renorm=True` has five."""
    names = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")
    return [getattr(layer, name) for name in names if getattr(layer, name, None) is not None]


def assign_statistics(layer: Any, mean: Array, variance: Array) -> None:
    """Give a batch norm its statistics."""
    deviation = np.sqrt(variance + layer.epsilon)
    for weight, value in zip(statistics_of(layer), (mean, variance, deviation, mean, deviation), strict=False):
        weight.assign(value.astype("float64" if weight.dtype == "float64" else "float32"))
