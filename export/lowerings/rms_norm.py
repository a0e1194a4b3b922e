"""RMS normalization.

y = x / sqrt(mean of x^2 over the normalized axes + epsilon) * scale

As in Keras, `scale` broadcasts along the trailing axes, whichever are normalized. Where it is 1, as it is once the
layers behind have taken it in, nothing is multiplied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from .parameters import float64


def lower(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    scale = scale_of(layer)

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        y = x * ops.rsqrt(ops.mean(x * x, axis=axes, keepdims=True) + layer.epsilon)
        return ops.cast(scaled(y, scale), layer.compute_dtype)

    return call


def scale_of(layer: Any) -> np.ndarray | None:
    """The scale of a layer in float64; None where it is 1."""
    scale = float64(layer.scale)
    return None if np.all(scale == 1.0) else scale


def scaled(y: Any, scale: np.ndarray | None) -> Any:
    """`y` times `scale` along its trailing axes."""
    return y if scale is None else y * scale.reshape((1,) * (y.ndim - scale.ndim) + scale.shape).astype("float32")
