"""Calls that a per-channel affine map may travel through: they mix positions, never channels.

averages    f = a weighted mean over positions whose weights sum to one everywhere: f(A(z)) = A(f(z))
            (average pooling leaves padding out of the mean, with `same` too; bilinear upsampling; flattened averages)
selections  f picks positions: cropping, nearest upsampling, repetition, and all that does nothing in inference
maxima      max(A(z)) = A(max(z)) only if scale >= 0 in every channel; `same` pads with -inf, which stays so
padding     pad(A(z)) = A(pad(z)) only if A(0) = 0, that is if the shift is zero

Never through an activation, not even ReLU.
"""

from __future__ import annotations

from typing import Any

import keras

# The classes behind keras.ops have no public name.
from keras.src.ops import core, image, nn
from keras.src.ops import numpy as operations

from ..affine import Affine
from .base import Pass, Rule, Site, Skip, another_axis, own_activation

L = keras.layers


class _Passage(Rule):
    """The same answer in both directions."""

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, len(site.inputs[0]))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, len(site.outputs[0]))

    def _through(self, site: Site, affine: Affine, rank: int) -> Pass | Skip:
        raise NotImplementedError


def _channels(layer: Any, rank: int) -> int:
    layout = getattr(layer, "data_format", "channels_last") or keras.config.image_data_format()
    return rank - 1 if layout == "channels_last" else 1


class Elementwise(_Passage):
    """What leaves every value as it is in inference."""

    name = "identity"
    layers = (
        L.Identity,
        L.Dropout,
        L.SpatialDropout1D,
        L.SpatialDropout2D,
        L.SpatialDropout3D,
        L.GaussianDropout,
        L.GaussianNoise,
        L.AlphaDropout,
        core.StopGradient,
        operations.Copy,
    )

    def _through(self, _site: Site, affine: Affine, _rank: int) -> Pass:
        return Pass(((0, affine),))


class LinearActivation(_Passage):
    name = "linear activation"
    layers = (L.Activation,)

    def _through(self, site: Site, affine: Affine, _rank: int) -> Pass | Skip:
        activation = own_activation(site.layer)
        return (
            Pass(((0, affine),)) if activation is None else site.skip(f"is the activation {activation!r}, not linear")
        )


class Spatial(_Passage):
    """What averages or selects positions."""

    name = "average or selection of positions"
    layers = (
        L.AveragePooling1D,
        L.AveragePooling2D,
        L.AveragePooling3D,
        L.UpSampling1D,
        L.UpSampling2D,
        L.UpSampling3D,
        L.Cropping1D,
        L.Cropping2D,
        L.Cropping3D,
        nn.AveragePool,
        image.Resize,
    )

    def _through(self, site: Site, affine: Affine, rank: int) -> Pass | Skip:
        if getattr(site.layer, "interpolation", "nearest") not in ("nearest", "bilinear"):
            return site.skip(
                f"interpolates by {site.layer.interpolation!r}; only nearest and bilinear are known to be exact"
            )
        if getattr(site.layer, "pad_to_aspect_ratio", False):
            return site.skip("pads to keep the aspect ratio")
        return another_axis(site, affine, _channels(site.layer, rank)) or Pass(((0, affine),))


class MaxPooling(_Passage):
    name = "max pooling"
    layers = (L.MaxPooling1D, L.MaxPooling2D, L.MaxPooling3D, nn.MaxPool)

    def _through(self, site: Site, affine: Affine, rank: int) -> Pass | Skip:
        why = another_axis(site, affine, _channels(site.layer, rank))
        if why is not None:
            return why
        if not affine.is_monotone:
            return site.skip("takes a maximum, and the norm's gamma is negative in some channel")
        return Pass(((0, affine),))


class ZeroPadding(_Passage):
    name = "zero padding"
    layers = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)

    def _through(self, site: Site, affine: Affine, _rank: int) -> Pass | Skip:
        if affine.has_shift:
            return site.skip("pads with zeros, which the norm would shift")
        return Pass(((0, affine),))


class _GlobalPooling(Rule):
    """Over all positions: the channels stay, on the last axis or where `keepdims` leaves them."""

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, len(site.outputs[0]), len(site.inputs[0]))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, len(site.inputs[0]), len(site.outputs[0]))

    def _through(self, site: Site, affine: Affine, here: int, there: int) -> Pass | Skip:
        layer = site.layer
        first = layer.data_format == "channels_first"
        axes = {rank: 1 if first or rank == 2 else rank - 1 for rank in (here, there)}
        return another_axis(site, affine, axes[here]) or self._checked(site, affine.along(axes[there]))

    def _checked(self, _site: Site, affine: Affine) -> Pass | Skip:
        return Pass(((0, affine),))


class GlobalAveragePooling(_GlobalPooling):
    name = "global average pooling"
    layers = (L.GlobalAveragePooling1D, L.GlobalAveragePooling2D, L.GlobalAveragePooling3D)


class GlobalMaxPooling(_GlobalPooling):
    name = "global max pooling"
    layers = (L.GlobalMaxPooling1D, L.GlobalMaxPooling2D, L.GlobalMaxPooling3D)

    def _checked(self, site: Site, affine: Affine) -> Pass | Skip:
        if not affine.is_monotone:
            return site.skip("takes a maximum, and the norm's gamma is negative in some channel")
        return Pass(((0, affine),))
