"""Batch norm and batch renorm at inference: an affine map a channel.

    s = gamma / sqrt(moving_variance + epsilon)
    y = x * s + (beta - moving_mean * s)        two operations
    y = (x - moving_mean) * s + beta            three, exact also where the mean is large beside the deviation

The first rounds at |moving_mean * s|; it is taken where that loses less than two decimal digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from .parameters import broadcast, float64

_LARGEST_HARMLESS_SHIFT = 100.0


def lower(layer: Any, _channels_first: bool = False) -> Callable[[Any], Any]:
    mean, variance = float64(layer.moving_mean), float64(layer.moving_variance)
    s = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        s = s * float64(layer.gamma)
    beta = float64(layer.beta) if layer.center else np.zeros_like(mean)

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]

        def constant(values: np.ndarray) -> np.ndarray:
            return broadcast(values, axis, x.ndim)

        if np.max(np.abs(mean * s), initial=0.0) <= _LARGEST_HARMLESS_SHIFT:
            y = x * constant(s) + constant(beta - mean * s)
        else:
            y = (x - constant(mean)) * constant(s) + constant(beta)
        return ops.cast(y, layer.compute_dtype)

    return call
