"""Recurrent layers that are given their first states and masked steps, for models that were written by Keras 2.

    Keras 2   the mask of the sequence counts
    Keras 3   the mask of the sequence counts only where no states are given

as they are to a decoder, which starts from the states of the encoder. The layers are registered, so that a model with
them saves and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras.src.backend.common.masking import get_keras_mask  # not public

_registered = keras.saving.register_keras_serializable(package="keras_norms")


class _Masked:
    """A layer that takes the mask of the sequence beside the states."""

    def __call__(self, sequences: Any, initial_state: Any = None, mask: Any = None, **kwargs: Any) -> Any:
        """The outputs, and the states where they are asked for."""
        if initial_state is not None:
            kwargs["initial_state"] = initial_state
            # While a functional model is made, its layers are called without masks.
            mask = get_keras_mask(sequences) if mask is None and not _is_symbolic(sequences) else mask
        if mask is not None:
            kwargs["mask"] = mask
        return super().__call__(sequences, **kwargs)  # type: ignore[misc]


def _is_symbolic(x: Any) -> bool:
    return isinstance(x, keras.KerasTensor)


@_registered
class LSTMOfKeras2(_Masked, keras.layers.LSTM):
    """Long short-term memory."""


@_registered
class GRUOfKeras2(_Masked, keras.layers.GRU):
    """Gated recurrent unit."""


@_registered
class SimpleRNNOfKeras2(_Masked, keras.layers.SimpleRNN):
    """A recurrent layer without gates."""


@_registered
class RNNOfKeras2(_Masked, keras.layers.RNN):
    """A recurrent layer of any cells."""


@_registered
class BidirectionalOfKeras2(_Masked, keras.layers.Bidirectional):
    """A recurrent layer and its twin, which goes the other way."""
