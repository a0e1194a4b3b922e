"""Convolutions of every rank, grouped, dilated, strided, depthwise, separable and transposed.

y = K * x + b, K of shape (k.., in/groups, out); depthwise (k.., in, multiplier); transposed (k.., out, in)

backward   A(y) = (scale K) * x + (scale b + shift)
           scale lies along out; for depthwise kernels out = (in, multiplier); a separable convolution takes it in its
           pointwise kernel.
forward    K * A(z) + b = (K scale) * z + (b + sum_k K shift)
           scale lies along in. Exact at the border only if the layer pads nothing: it pads its input with zeros, where
           A of the norm's padding would have been shift. So: `valid`, or a kernel of 1, or a shift of zero. A
           transposed convolution leaves out terms instead, so it needs kernel 1 and stride 1, or a shift of zero.
"""

from __future__ import annotations

from typing import Any

import keras

from ..affine import Affine, Array, add_bias, input_scale_grouped, scale_axis, scale_output_bias, tap_sum
from .base import Absorb, Rule, Site, Skip, Weights, bias_config, linear_input, linear_output

L = keras.layers


def channel_axis(layer: Any, rank: int) -> int:
    return rank - 1 if layer.data_format == "channels_last" else 1


def wrong_bias_axis(site: Site) -> Skip | None:
    """On TensorFlow a channels-first bias is added along the width if the width equals the channels."""
    shape = site.outputs[0]
    if keras.backend.backend() != "tensorflow" or site.layer.data_format != "channels_first" or len(shape) < 3:
        return None
    if shape[-1] is None or shape[-1] == shape[1]:
        return site.skip(
            f"is channels_first with {shape[1]} channels and "
            + ("a width that is not fixed" if shape[-1] is None else "a width of the same size")
            + ", where Keras on TensorFlow may add a bias along the width"
        )
    return None


def pads_nothing(layer: Any) -> bool:
    return layer.padding == "valid" or all(k == 1 for k in layer.kernel_size)


class _Convolution(Rule):
    weights: tuple[str, ...] = ("kernel", "bias")

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = linear_output(site, affine, channel_axis(site.layer, len(site.outputs[0])))
        if why is None and (affine.has_shift or site.layer.use_bias):
            why = wrong_bias_axis(site)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            return {**self._scale_output(w, affine.scale), "bias": scale_output_bias(w["bias"], affine)}

        return Absorb(site.layer, self.weights, update, bias_config(site, affine))

    def forward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = linear_input(site, affine, channel_axis(site.layer, len(site.inputs[0])))
        if why is None and affine.has_shift:
            why = self._border(site) or wrong_bias_axis(site)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            scaled, gain = self._scale_input(site.layer, w, affine)
            return {**w, **scaled, "bias": add_bias(w["bias"], gain)}

        return Absorb(site.layer, self.weights, update, bias_config(site, affine))

    def _border(self, site: Site) -> Skip | None:
        if pads_nothing(site.layer):
            return None
        return site.skip(
            f"pads its input with zeros (padding={site.layer.padding!r}), which the norm would have shifted"
        )

    def _scale_output(self, w: Weights, scale: Array) -> Weights:
        return {"kernel": scale_axis(_array(w, "kernel"), scale, -1)}

    def _scale_input(self, layer: Any, w: Weights, affine: Affine) -> tuple[Weights, Array]:
        kernel, gain = input_scale_grouped(_array(w, "kernel"), affine, layer.groups)
        return {"kernel": kernel}, gain


class Convolution(_Convolution):
    name = "convolution"
    layers = (L.Conv1D, L.Conv2D, L.Conv3D)


class TransposedConvolution(_Convolution):
    name = "transposed convolution"
    layers = (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)

    def _border(self, site: Site) -> Skip | None:
        layer = site.layer
        if all(n == 1 for n in (*layer.kernel_size, *layer.strides)):
            return None
        return site.skip("is a transposed convolution with a kernel or stride above 1: a shift would not be uniform")

    def _scale_output(self, w: Weights, scale: Array) -> Weights:
        return {"kernel": scale_axis(_array(w, "kernel"), scale, -2)}

    def _scale_input(self, _layer: Any, w: Weights, affine: Affine) -> tuple[Weights, Array]:
        kernel = _array(w, "kernel")
        gain = tap_sum(kernel) @ affine.shift
        return {"kernel": scale_axis(kernel, affine.scale, -1)}, gain


def scale_depthwise(kernel: Array, scale: Array) -> Array:
    return kernel * scale.reshape(kernel.shape[-2:])


class DepthwiseConvolution(_Convolution):
    name = "depthwise convolution"
    layers = (L.DepthwiseConv1D, L.DepthwiseConv2D)

    def _scale_output(self, w: Weights, scale: Array) -> Weights:
        return {"kernel": scale_depthwise(_array(w, "kernel"), scale)}

    def _scale_input(self, _layer: Any, w: Weights, affine: Affine) -> tuple[Weights, Array]:
        kernel = _array(w, "kernel")
        gain = (tap_sum(kernel) * affine.shift[:, None]).reshape(-1)
        return {"kernel": scale_axis(kernel, affine.scale, -2)}, gain


class SeparableConvolution(_Convolution):
    name = "separable convolution"
    layers = (L.SeparableConv1D, L.SeparableConv2D)
    weights = ("depthwise_kernel", "pointwise_kernel", "bias")

    def _scale_output(self, w: Weights, scale: Array) -> Weights:
        return {**w, "pointwise_kernel": scale_axis(_array(w, "pointwise_kernel"), scale, -1)}

    def _scale_input(self, _layer: Any, w: Weights, affine: Affine) -> tuple[Weights, Array]:
        depthwise, pointwise = _array(w, "depthwise_kernel"), _array(w, "pointwise_kernel")
        between = (tap_sum(depthwise) * affine.shift[:, None]).reshape(-1)
        gain = between @ tap_sum(pointwise)
        return {"depthwise_kernel": scale_axis(depthwise, affine.scale, -2)}, gain


def _array(w: Weights, name: str) -> Array:
    array = w[name]
    assert array is not None
    return array
