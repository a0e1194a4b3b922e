"""Keras' own group and layer normalization in float64: what they would say if they did not round.

    y = (x - mean) / sqrt(mean of (x - mean)^2 + epsilon) * gamma + beta

Written apart from `lowerings`, in NumPy: an artifact is judged by this, and a lowering must not be judged by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from ..lowerings.parameters import float64
from ..model.keras_graph import layers_of
from ..model.patching import patched_calls


@contextmanager
def exact_norms(model: keras.Model) -> Iterator[bool]:
    """Within the block Keras' own norms in `model`, however deep, are exact; says whether there are any."""

    def exact(layer: Any) -> Callable[..., Any] | None:
        normalize = _normalize(layer) if layer.built else None
        return None if normalize is None else _in_float64(layer, normalize)

    with patched_calls(layers_of(model), exact) as changed:
        yield bool(changed)


def _normalize(layer: Any) -> Callable[[np.ndarray, Any], np.ndarray] | None:
    if type(layer) is keras.layers.GroupNormalization:
        return _group
    if type(layer) is keras.layers.LayerNormalization and not getattr(layer, "rms_scaling", False):
        # Axes of both signs: the order of gamma's dimensions depends on the rank.
        return _layer if len({axis < 0 for axis in layer.axis}) == 1 else None
    return None


def _in_float64(layer: Any, normalize: Callable[[np.ndarray, Any], np.ndarray]) -> Callable[..., Any]:
    original = layer.call

    def call(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            x = ops.convert_to_numpy(inputs).astype(np.float64)
        except (NotImplementedError, TypeError):  # inside of a compiled function or a loop there are no numbers
            return original(inputs, *args, **kwargs)
        with np.errstate(invalid="ignore", over="ignore"):
            return ops.convert_to_tensor(normalize(x, layer).astype(np.float32), layer.compute_dtype)

    return call


def _group(x: np.ndarray, layer: Any) -> np.ndarray:
    last = np.moveaxis(x, layer.axis, -1)
    groups = last.reshape(len(x), -1, layer.groups, last.shape[-1] // layer.groups)
    y = _standardized(groups, (1, 3), layer.epsilon).reshape(last.shape)
    y = y * float64(layer.gamma) if layer.scale else y
    y = y + float64(layer.beta) if layer.center else y
    return np.moveaxis(y, -1, layer.axis)


def _layer(x: np.ndarray, layer: Any) -> np.ndarray:
    axes = tuple(axis % x.ndim for axis in layer.axis)
    y = _standardized(x, axes, layer.epsilon)
    shape = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    y = y * float64(layer.gamma).reshape(shape) if layer.scale else y
    return y + float64(layer.beta).reshape(shape) if layer.center else y


def _standardized(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> np.ndarray:
    centred = x - x.mean(axes, keepdims=True)
    return np.asarray(centred / np.sqrt(np.square(centred).mean(axes, keepdims=True) + epsilon))
