"""RMS normalization.

y = x / sqrt(mean of x^2 over the normalized axes + epsilon) * scale

As in Keras, `scale` broadcasts along the trailing axes, whichever are normalized.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from .parameters import float64


def lower(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    scale = float64(layer.scale).astype("float32")

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        y = x * ops.rsqrt(ops.mean(x * x, axis=axes, keepdims=True) + layer.epsilon)
        return ops.cast(y * scale.reshape((1,) * (x.ndim - scale.ndim) + scale.shape), layer.compute_dtype)

    return call
