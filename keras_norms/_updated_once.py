"""A layer that moves its statistics once where Keras computes a part of a model a second time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_norms._types import Tensor, Wrap


class UpdatedOnce(keras.layers.Layer):
    """Under a `keras.RematScope` what normalizes is computed again, and what updates is not."""

    axis: int

    def _train(self, inputs: Tensor, axis: int, mask: Tensor | None, wrap: Wrap) -> Tensor:
        raise NotImplementedError

    def rematerialized_call(
        self, layer_call: Callable[..., Tensor], *args: Any, **kwargs: Any
    ) -> Callable[..., Tensor]:
        """Under a `keras.RematScope`: the statistics are updated outside of what is computed a second time."""
        in_scope = functools.partial(self._in_remat_scope, args, kwargs)

        def call(inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
            inputs = ops.convert_to_tensor(inputs)
            if training and self.trainable:
                return self._train(inputs, self.axis % len(inputs.shape), mask, in_scope)
            return in_scope(layer_call)(inputs)

        return call

    def _in_remat_scope(self, args: Any, kwargs: Any, function: Callable[..., Any]) -> Callable[..., Any]:
        wrapped: Callable[..., Any] = super().rematerialized_call(function, *args, **kwargs)
        return wrapped
