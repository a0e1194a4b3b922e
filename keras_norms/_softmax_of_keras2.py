"""Softmax and attention of what is masked as Keras 2 computed them, for models that were written by it.

    Keras 2   softmax(scores - 1e9 (1 - mask)): where everything is masked, all weights are the same
    Keras 3   where everything is masked, all weights are zero

The stock MultiHeadAttention does so with dropout, with several attention axes, and where the scores are an output. And
it takes the masks off its inputs: what uses the same tensors after it, as the next layer of a decoder does those of the
encoder, knows nothing of their masks. In Keras 2 they stay. The layers are registered, so that a model with them saves
and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask  # not public

_registered = keras.saving.register_keras_serializable(package="keras_norms")


@_registered
class SoftmaxOfKeras2(keras.layers.Softmax):
    """exp(x) / sum(exp(x))."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Those of masked values are zero, unless all are masked."""
        return super().call(inputs if mask is None else _lowered(inputs, mask))


@_registered
class MultiHeadAttentionOfKeras2(keras.layers.MultiHeadAttention):
    """The attention of several heads."""

    def __call__(self, query: Any, value: Any, key: Any = None, **kwargs: Any) -> Any:
        """The attention; the inputs have their masks afterwards too."""
        given = [x for x in (query, value, key) if x is not None]
        masks = [get_keras_mask(x) for x in given]
        try:
            return super().__call__(query, value, key, **kwargs)
        finally:
            for x, mask in zip(given, masks, strict=True):
                set_keras_mask(x, mask)

    def _masked_softmax(self, attention_scores: Any, attention_mask: Any = None) -> Any:
        if attention_mask is not None:
            before_the_axes = -2 * len(self._attention_axes) - 1
            while len(attention_mask.shape) < len(attention_scores.shape):
                attention_mask = ops.expand_dims(attention_mask, before_the_axes)
            attention_scores = _lowered(attention_scores, attention_mask)
        return super()._masked_softmax(attention_scores)


def _lowered(scores: Any, mask: Any) -> Any:
    least = -32752.0 if keras.backend.standardize_dtype(scores.dtype) == "float16" else -1e9
    return scores + (1.0 - ops.cast(mask, scores.dtype)) * least
