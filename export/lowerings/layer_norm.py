"""Layer normalization.

mu = mean over the normalized axes,  v = mean of (x - mu)^2
y  = (x - mu) / sqrt(v + epsilon) * gamma + beta

With Keras' deprecated `rms_scaling` the numerator is x itself, and there is no beta: y = x / sqrt(v + epsilon) * gamma.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from .parameters import float64


def lower(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any] | None:
    return lower_by(_standardized, layer)


def lower_by(standardized: Callable[..., Any], layer: Any) -> Callable[[Any], Any] | None:
    """Gamma and beta around standardized(x, axes, epsilon, uncentred), in the order in which the layer keeps them."""
    axes_given = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    mixed_signs = len({axis < 0 for axis in axes_given}) > 1  # then the order of gamma's dimensions depends on the rank
    if mixed_signs:
        return None
    uncentred = getattr(layer, "rms_scaling", False)
    gamma = None if layer.gamma is None else float64(layer.gamma)
    beta = None if layer.beta is None else float64(layer.beta)

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axes = sorted(axis % x.ndim for axis in axes_given)
        shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
        y = standardized(x, axes, layer.epsilon, uncentred)
        y = y if gamma is None else y * gamma.reshape(shape).astype("float32")
        y = y if beta is None else y + beta.reshape(shape).astype("float32")
        return ops.cast(y, layer.compute_dtype)

    return call


def _standardized(x: Any, axes: list[int], epsilon: float, uncentred: bool) -> Any:
    centred = x - ops.mean(x, axis=axes, keepdims=True)
    return (x if uncentred else centred) * ops.rsqrt(ops.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
