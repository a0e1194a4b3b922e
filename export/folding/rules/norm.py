"""The affine tail of normalization layers: y = gamma * x_hat + beta.

backward   A(y) = (scale gamma) * x_hat + (scale beta + shift)
forward    only a batch norm, whose statistics are constants: with s = gamma / sqrt(var + eps),
           s (A(z) - mean) + beta = (s scale) z + (s (shift - mean) + beta)
                                  = gamma scale (z - mean) / sqrt(var + eps) + (beta + s (shift - mean + scale mean))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_norms

from ...options import Tails
from ..affine import Affine, Array
from .base import Absorb, Rule, Site, Skip, Weights, another_axis, not_plain

L = keras.layers
BATCH_NORMS = (L.BatchNormalization, keras_norms.BatchNormalization, keras_norms.BatchRenormalization)
# Norms whose statistics are of their input: only their gamma and beta can move.
_GROUPS = (L.GroupNormalization, keras_norms.GroupNormalization, keras_norms.InstanceNormalization)
_CENTRED = (*_GROUPS, L.LayerNormalization, keras_norms.LayerNormalization)
TAILS: dict[Tails, tuple[type, ...]] = {
    "all": (*_CENTRED, L.RMSNormalization),
    "all but RMS": _CENTRED,
    "groups": _GROUPS,
    "none": (),
}


def channel_axes(layer: Any, rank: int) -> tuple[int, ...]:
    """The axes along which gamma and beta lie."""
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    return tuple(a % rank for a in axis)


def tail_of(layer: Any, rank: int, read: Callable[[Any, tuple[str, ...]], Weights]) -> tuple[Array, Array] | None:
    """Gamma and beta of a norm whose input has this rank, as `read` gives its weights; None if it has neither.

    RMS normalization cannot be without its gamma, called scale: it counts as having none where that is 1.
    """
    if type(layer) is L.RMSNormalization:
        scale = read(layer, ("scale",))["scale"]
        assert scale is not None
        if np.all(scale == 1.0) or channel_axes(layer, rank) != (rank - 1,):
            return None
        return scale, np.zeros_like(scale)
    gamma, beta = read(layer, ("gamma", "beta")).values()
    some = gamma if gamma is not None else beta
    return None if some is None else (_ones_for(gamma, some), _zeros_for(beta, some))


def without_tail(layer: Any) -> Absorb:
    """The norm without gamma and beta."""
    if type(layer) is L.RMSNormalization:
        return Absorb(layer, ("scale",), lambda w: {"scale": np.ones_like(w["scale"])})
    return Absorb(layer, ("gamma", "beta"), lambda _w: {"gamma": None, "beta": None}, {"center": False, "scale": False})


def _tail_config(layer: Any) -> dict[str, bool]:
    return {name: True for name in ("center", "scale") if not getattr(layer, name)}


def _ones_for(absent: Array | None, like: Array) -> Array:
    return np.ones_like(like) if absent is None else absent


def _zeros_for(absent: Array | None, like: Array) -> Array:
    return np.zeros_like(like) if absent is None else absent


class AffineTail(Rule):
    name = "norm"
    layers = (*BATCH_NORMS, *_CENTRED)

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = self._wrong_axis(site, affine)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            gamma, beta = _ones_for(w["gamma"], affine.scale), _zeros_for(w["beta"], affine.scale)
            return {"gamma": affine.scale * gamma, "beta": affine.scale * beta + affine.shift}

        return Absorb(site.layer, ("gamma", "beta"), update, _tail_config(site.layer))

    def forward(self, site: Site, affine: Affine) -> Absorb | Skip:
        if type(site.layer) not in BATCH_NORMS:
            return site.skip(f"({type(site.layer).__name__}) computes statistics of its input")
        why = self._wrong_axis(site, affine)
        if why is not None:
            return why
        epsilon = site.layer.epsilon

        def update(w: Weights) -> Weights:
            mean, variance = w["moving_mean"], w["moving_variance"]
            assert mean is not None
            assert variance is not None
            gamma, beta = _ones_for(w["gamma"], mean), _zeros_for(w["beta"], mean)
            s = gamma / np.sqrt(variance + epsilon)
            return {**w, "gamma": gamma * affine.scale, "beta": beta + s * (affine.shift - mean + affine.scale * mean)}

        names = ("gamma", "beta", "moving_mean", "moving_variance")
        return Absorb(site.layer, names, update, _tail_config(site.layer))

    def _wrong_axis(self, site: Site, affine: Affine) -> Skip | None:
        why = not_plain(site)
        if why is not None:
            return why
        if getattr(site.layer, "rms_scaling", False):
            return site.skip("has no beta (rms_scaling=True)")
        axes = channel_axes(site.layer, len(site.outputs[0]))
        return another_axis(site, affine, *axes, what="gamma and beta")
