"""Wrappers whose layer computes with a kernel that is constant in inference: weight standardization, spectral norm.

wrapper(layer)(x) = layer'(x)      layer' = layer with the kernel of inference

So the plain layer takes the place of the wrapper before anything else folds, and its rule does the rest. A wrapper that
runs in training mode has another kernel at each call and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from keras_norms import WeightStandardization

from ..affine import Affine, Array, float64
from .base import Absorb, Pass, Rule, Site, Skip


class PlainLayer(NamedTuple):
    """The layer in place of a wrapper, and its kernel; None where that is its own."""

    layer: Any
    kernel: Array | None


def _standardized(wrapper: Any) -> Array:
    return float64(keras.ops.convert_to_numpy(wrapper.standardized_kernel()))


# The wrapper, and the kernel that it has in inference. Spectral normalization divides it in training, in place.
CONSTANT_KERNELS: dict[type, Callable[[Any], Array] | None] = {
    WeightStandardization: _standardized,
    keras.layers.SpectralNormalization: None,
}


def plain_layer(wrapper: Any, calls: Sequence[Any], masks: bool) -> PlainLayer | Skip:
    """What takes the place of a wrapper that is called like this; `masks`: whether the model has masks."""
    layer = wrapper.layer
    why = _own(wrapper) or next(filter(None, (_in_training(call) for call in calls)), None)
    if why is None and type(wrapper) is keras.layers.SpectralNormalization:
        why = _spectral(wrapper, calls, masks)
    if why is not None:
        return Skip(why)
    kernel_of = CONSTANT_KERNELS[type(wrapper)]
    return PlainLayer(layer, None if kernel_of is None else kernel_of(wrapper))


def _own(wrapper: Any) -> str | None:
    if wrapper.activity_regularizer is not None:
        return "has an activity regularizer of its own, whose loss would be lost"
    if getattr(wrapper.layer, "lora_enabled", False):
        return "holds a layer with LoRA weights; merge them first"
    if getattr(wrapper.layer, "quantization_mode", None) is not None:
        return "holds a quantized layer"
    return None


def _in_training(call: Any) -> str | None:
    return "runs in training mode, where its kernel changes" if call.training else None


def _spectral(wrapper: Any, calls: Sequence[Any], masks: bool) -> str | None:
    """It drops masks and casts its output to the dtype of its input, which the layer inside does not."""
    if masks and wrapper.layer.supports_masking:
        return "drops masks, which the layer inside would hand on"
    inside = wrapper.layer.compute_dtype
    if wrapper.compute_dtype != inside or any(call.inputs[0].dtype not in (inside, "float32") for call in calls):
        return f"also casts to another type than the {inside} of the layer inside"
    return None


class ConstantKernel(Rule):
    """The wrappers that were not replaced."""

    name = "constant kernel"
    layers = tuple(CONSTANT_KERNELS)

    def backward(self, site: Site, _affine: Affine) -> Absorb | Pass | Skip:
        return self._why(site)

    def forward(self, site: Site, _affine: Affine) -> Absorb | Pass | Skip:
        return self._why(site)

    def _why(self, site: Site) -> Skip:
        own = _own(site.layer)
        return site.skip(own if own is not None else f"({type(site.layer).__name__}) could not become a plain layer")
