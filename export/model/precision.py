"""Run a model in another precision for a while.

In float32: what an artifact of a mixed-precision model is made from. Neither TFLite nor ONNX Runtime has half-precision
kernels for most operations on a CPU, and mixed precision is a way to train; its weights are float32. A smaller file is
what `quantize="float16"` is for.

In float64: what the model would compute if it hardly rounded, which tells how far its own float32 results are off.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras
import numpy as np

from .keras_graph import inputs_as_they_come, layers_of

_HALF = ("float16", "bfloat16")


def half_policies(model: keras.Model) -> tuple[str, ...]:
    """The names of the dtype policies in `model` that compute in half precision."""
    policies = (layer.dtype_policy for layer in layers_of(model))
    return tuple(dict.fromkeys(policy.name for policy in policies if policy.compute_dtype in _HALF))


def half_weights(model: keras.Model) -> str | None:
    """The half precision in which weights of `model` are stored, which only a policy like "bfloat16" does."""
    return next((weight.dtype for weight in model.weights if weight.dtype in _HALF), None)


@contextmanager
def in_float32(model: keras.Model) -> Iterator[None]:
    """Within the block every layer of `model` computes in float32; then each has its own policy again."""
    with _in(model, "float32", {layer.compute_dtype for layer in layers_of(model)} & set(_HALF)):
        yield


@contextmanager
def in_float64(model: keras.Layer) -> Iterator[None]:
    """Within the block the layers of a model, or one layer, compute in float64 from their weights as they are.

    What casts to float32 itself, some functions of images among them, still rounds there. Numbers that a layer compares
    with stay what they are in float32: an input of 0.1 is not 0.1 in float64.

    Raises:
        NotImplementedError: If Keras narrows float64 in the middle, as on every backend but TensorFlow.
    """
    if keras.backend.result_type("float64", "float32") != "float64":
        raise NotImplementedError(f"Keras narrows float64 on {keras.backend.backend()}.")
    with ExitStack() as stack:
        stack.enter_context(inputs_as_they_come())
        stack.enter_context(_in(model, _Wide("float64"), {"float32", *_HALF}))
        for layer in layers_of(model):
            if isinstance(layer, keras.Sequential):  # casts what it takes to the dtype of its Input
                stack.callback(setattr, layer, "autocast", layer.autocast)
                layer.autocast = False
            if isinstance(layer, keras.layers.Masking):
                stack.callback(setattr, layer, "mask_value", layer.mask_value)
                layer.mask_value = float(np.float32(layer.mask_value))
        yield


@contextmanager
def _in(model: keras.Layer, policy: Any, instead_of: set[str]) -> Iterator[None]:
    changed = [(layer, layer.dtype_policy) for layer in layers_of(model) if layer.compute_dtype in instead_of]
    try:
        for layer, _ in changed:
            layer.dtype_policy = policy
        yield
    finally:
        for layer, own in changed:
            layer.dtype_policy = own


class _Wide(keras.DTypePolicy):
    """Computes in float64 from weights in float32, which Keras casts where a layer reads them."""

    @property
    def variable_dtype(self) -> str:
        return "float32"
