"""Lets something else happen where norms are called, for as long as a block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_norms._types import Tensor


class NormCall(NamedTuple):
    """One call of a norm: what it was given, and what it would have done."""

    layer: Any
    inputs: Tensor
    mask: Tensor | None
    compute: Callable[[], Tensor]


@contextmanager
def norm_calls(layers: Iterable[Any], answer: Callable[[NormCall], Tensor]) -> Iterator[None]:
    """Within the block, a call of one of the layers returns answer(call)."""
    replaced = []
    try:
        for layer in layers:
            # Past Keras' attribute tracking: a function of an instance is found before that of its class.
            object.__setattr__(layer, "call", _caller(layer, layer.call, answer))
            replaced.append(layer)
        yield
    finally:
        for layer in replaced:
            object.__delattr__(layer, "call")


def _caller(layer: Any, call: Callable[..., Tensor], answer: Callable[[NormCall], Tensor]) -> Callable[..., Tensor]:
    def replacement(inputs: Tensor, *args: Any, mask: Tensor | None = None, **kwargs: Any) -> Tensor:
        given = {**kwargs, "mask": mask} if mask is not None else kwargs
        return answer(NormCall(layer, inputs, mask, lambda: call(inputs, *args, **given)))

    return replacement


def as_numpy(x: Tensor, layer: Any) -> np.ndarray[Any, Any]:
    """The values of what a norm is given.

    Raises:
        ValueError: If it has none, being traced.
    """
    x = ops.convert_to_tensor(x)
    if keras.backend.standardize_dtype(x.dtype) == "bfloat16":
        x = ops.cast(x, "float32")
    try:
        return np.asarray(ops.convert_to_numpy(x))
    except Exception as error:  # each backend has a kind of its own
        raise ValueError(
            f"The norm {layer.name!r} has to be called on values, not on tensors that a compiler traces. "
            f"Received: {type(x).__name__}. A norm inside a recurrent cell or a compiled loop cannot be looked into."
        ) from error
