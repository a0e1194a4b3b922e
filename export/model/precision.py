"""Run a half-precision model in float32 for a while: what an artifact of a mixed-precision model is made from.

Neither TFLite nor ONNX Runtime has half-precision kernels for most operations on a CPU, and mixed precision is a way to
train; its weights are float32. A smaller file is what `quantize="float16"` is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from .keras_graph import layers_of

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
    changed = [(layer, layer.dtype_policy) for layer in layers_of(model) if layer.compute_dtype in _HALF]
    try:
        for layer, _ in changed:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in changed:
            layer.dtype_policy = policy
