"""Norm layers, and a few others, as few, static, delegate-friendly operations.

A lowering is a function `lower(layer, channels_first) -> call` that returns what the layer's `call` does at inference,
written in primitives that every target runs, or None for an option it does not cover; `channels_first` says that the
runtime's convolutions want channels second. Rows are tried in order. A row serves a layer only if the layer's `call` is
that of the row's class: a subclass with a `call` of its own is left as it is. The lowered call of a norm takes the
inputs alone; that of another layer takes what the layer's `call` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import keras

import keras_norms

from ..model.keras_graph import layers_of
from ..model.layer_names import NORM_SCOPE
from ..model.patching import patched_calls
from ..options import NormForm
from . import (
    affine_norm,
    center_crop,
    dense_of_one,
    group_norm,
    half_safe,
    integer,
    integer_lookup,
    layer_norm,
    over_time,
    prelu,
    rms_norm,
    scaled_attention,
    upsampling,
)

Lowering = Callable[..., Callable[..., Any] | None]

# Layers that are no norms.
_OTHER_LAYERS: tuple[tuple[type[keras.layers.Layer], Lowering], ...] = (
    (keras.layers.UpSampling2D, upsampling.lower),
    (keras.layers.CenterCrop, center_crop.lower),
    (keras.layers.IntegerLookup, integer_lookup.lower),
    (keras.layers.PReLU, prelu.lower),
    (keras.layers.TimeDistributed, over_time.lower),
    (keras.layers.Dense, dense_of_one.lower),
    (keras.layers.MultiHeadAttention, scaled_attention.lower),
    (keras.layers.GroupQueryAttention, scaled_attention.lower),
)

LOWERINGS: tuple[tuple[type[keras.layers.Layer], Lowering], ...] = (
    (keras_norms.BatchNormalization, affine_norm.lower),
    (keras_norms.BatchRenormalization, affine_norm.lower),
    (keras_norms.GroupNormalization, group_norm.lower),
    (keras_norms.InstanceNormalization, group_norm.lower),
    (keras_norms.LayerNormalization, layer_norm.lower),
    (keras.layers.BatchNormalization, affine_norm.lower),
    (keras.layers.GroupNormalization, group_norm.lower),
    (keras.layers.LayerNormalization, layer_norm.lower),
    (keras.layers.RMSNormalization, rms_norm.lower),
    *_OTHER_LAYERS,
)


# What comes before LOWERINGS where the runtime computes in half precision.
HALF_SAFE: tuple[tuple[type[keras.layers.Layer], Lowering], ...] = (
    (keras_norms.GroupNormalization, half_safe.lower_group),
    (keras_norms.InstanceNormalization, half_safe.lower_group),
    (keras_norms.LayerNormalization, half_safe.lower_layer),
    (keras.layers.GroupNormalization, half_safe.lower_group),
    (keras.layers.LayerNormalization, half_safe.lower_layer),
    (keras.layers.RMSNormalization, half_safe.lower_rms),
)

# The same where the runtime computes in integers.
INTEGER: tuple[tuple[type[keras.layers.Layer], Lowering], ...] = (
    (keras_norms.BatchNormalization, integer.lower_affine),
    (keras_norms.GroupNormalization, integer.lower_group),
    (keras_norms.InstanceNormalization, integer.lower_group),
    (keras_norms.LayerNormalization, integer.lower_layer),
    (keras.layers.BatchNormalization, integer.lower_affine),
    (keras.layers.GroupNormalization, integer.lower_group),
    (keras.layers.LayerNormalization, integer.lower_layer),
    (keras.layers.RMSNormalization, integer.lower_rms),
)

_BEFORE: dict[NormForm, tuple[tuple[type[keras.layers.Layer], Lowering], ...]] = {
    "fast": (),
    "half": HALF_SAFE,
    "integer": INTEGER,
}


def lowering(layer: keras.layers.Layer, form: NormForm = "fast") -> Lowering | None:
    """The lowering that serves `layer`, or None."""
    for kind, lower in (*_BEFORE[form], *LOWERINGS):
        if isinstance(layer, kind) and type(layer).call is kind.call:
            return lower
    return None


@contextmanager
def lowered(model: keras.Model, channels_first: bool = False, form: NormForm = "fast") -> Iterator[None]:
    """Within the block every norm layer of `model`, however deep, runs its lowered form; then it is as before."""

    def lowered_form(layer: keras.layers.Layer) -> Callable[..., Any] | None:
        lower = lowering(layer, form) if layer.built else None
        call = lower(layer, channels_first) if lower is not None else None
        return call if call is None or _is_no_norm(layer) else _unless_masked(layer, call)

    with patched_calls(layers_of(model), lowered_form):
        yield


def _is_no_norm(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, tuple(kind for kind, _ in _OTHER_LAYERS))


def _unless_masked(layer: keras.layers.Layer, lowered_call: Callable[..., Any]) -> Callable[..., Any]:
    """A masked norm takes its statistics over the positions that count, which only its own `call` knows how to do."""
    original = layer.call

    @wraps(original)
    def call(inputs: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        if mask is not None:
            return original(inputs, *args, mask=mask, **kwargs)
        with keras.name_scope(NORM_SCOPE):
            return lowered_call(inputs)

    return call
