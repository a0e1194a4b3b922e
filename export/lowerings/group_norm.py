"""Group and instance normalization: `pooled.py` has the form for TFLite, `grouped.py` the one for ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from . import grouped, pooled
from .parameters import float64


def lower(layer: Any, channels_first: bool = False) -> Callable[[Any], Any]:
    gamma = float64(layer.gamma) if layer.scale else None
    beta = float64(layer.beta) if layer.center else None

    def call(inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axis = layer.axis % x.ndim
        groups = getattr(layer, "groups", -1)
        groups = x.shape[axis] if groups == -1 else groups
        form = grouped if channels_first or x.ndim == 2 else pooled
        return ops.cast(form.normalize(x, axis, groups, layer.epsilon, gamma, beta), layer.compute_dtype)

    return call
