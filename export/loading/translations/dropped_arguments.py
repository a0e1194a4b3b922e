"""Arguments that Keras 3 has no more, where the file gives the one value that Keras 3 computes with anyway."""

from __future__ import annotations

import re
from typing import Any

from ..config_tree import Entry, stock_class
from ..writer import Writer

_ANY = object()  # the argument says nothing about inference, whatever its value
# Classes, argument, the values with which it may go.
_GONE: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    (r"(ConvLSTM\dD|GRU|LSTM|RNN|SimpleRNN|StackedRNNCells)", "time_major", (False,)),
    (r"(LSTM|GRU|SimpleRNN)(Cell)?|ConvLSTM\dD(Cell)?|RNN", "implementation", (_ANY,)),  # how, not what
    (r"(LSTM|GRU|SimpleRNN|RNN|ConvLSTM\dD)", "input_dim", (_ANY,)),
    (r"(LSTM|GRU|SimpleRNN|RNN|Embedding|Dense)", "input_length", (_ANY,)),
    (r"(Conv\dDTranspose|DepthwiseConv\dD|SeparableConv\dD)", "groups", (1,)),
    (r"SeparableConv\dD", "kernel_(initializer|regularizer|constraint)", (_ANY,)),
    (r"DepthwiseConv\dD", "(filters|kernel_(initializer|regularizer|constraint))", (_ANY,)),
    (r"SpatialDropout\dD", "noise_shape", (None,)),
    (r"SpatialDropout\dD", "trainable", (_ANY,)),
    (r"Random\w+", "rng_type", (_ANY,)),  # in training only
    (r"MultiHeadAttention", "(query|key|value)_shape", (_ANY,)),  # told by the call
    (r"(MultiHeadAttention)", "softmax_robust_masking", (_ANY,)),  # how masked scores are written, not what they are
    (r"Softmax", "robust_masking", (_ANY,)),
    (r"Embedding", "sparse", (False,)),  # how gradients are written
    (r"(UpSampling\dD|Flatten|Activation|Reshape|Permute|Dropout)", "noise_shape", (None,)),
    (r"(Discretization|Hashing|CategoryEncoding|IntegerLookup|StringLookup)", "trainable", (_ANY,)),
    (r"\w+", "dynamic", (False,)),
    (r"\w+", "batch_input_shape", (_ANY,)),  # stands in an InputLayer by now
)


def apply(entry: Entry, writer: Writer) -> bool:
    """Drop what says nothing from the config of a layer."""
    config = entry["config"]
    if not isinstance(config, dict):
        return False
    gone = []
    for classes, arguments, values in _GONE:
        if re.fullmatch(classes, stock_class(entry)):
            named = [key for key in config if re.fullmatch(arguments, key)]
            gone += [key for key in named if _ANY in values or config[key] in values]
    for key in dict.fromkeys(gone):
        del config[key]
    return bool(gone)
