"""EinsumDense: y = einsum(equation, x, K) + b, as in "abc,cde->abde".

backward   the label of the norm's axis must be in K and y and not in x: A(y) = einsum(x, scale K) + (scale b + shift)
forward    the label must be in x and K: einsum(A(z), K) = einsum(z, scale K) + gain, where
           gain = sum of shift K over the labels of K that y does not have. Every other label of x that y lacks must be
           in K too, or the gain would be counted along it.

The bias has the axes of y from its first `bias_axes` on, of size 1 where it does not vary. One that must come to vary
along further labels gets them.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
import numpy as np

from ..affine import Affine, Array, scale_axis
from .base import Absorb, Rule, Site, Skip, Weights, not_plain, own_activation


class Labels(NamedTuple):
    """The labels of x, K and y from the end of their shapes; "..." of x and y stands before them."""

    x: str
    kernel: str
    y: str


def labels(equation: str) -> Labels | None:
    """The labels of an equation; None if "..." stands elsewhere than in front, or a label is repeated."""
    sides = equation.replace(" ", "").split("->")
    if len(sides) != 2 or sides[0].count(",") != 1:
        return None
    x, kernel = sides[0].split(",")
    parts = (x.removeprefix("..."), kernel, sides[1].removeprefix("..."))
    if any("." in part or len(set(part)) != len(part) for part in parts):
        return None
    return Labels(*parts)


def bias_labels(y: str, bias_axes: str | None) -> str:
    """The labels that the bias array has, from its first to the last axis of y."""
    used = [y.index(label) for label in bias_axes or "" if label in y]
    return y[min(used) :] if used else ""


class EinsumDense(Rule):
    name = "einsum dense"
    layers = (keras.layers.EinsumDense,)

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = not_plain(site)
        if why is not None:
            return why
        activation = own_activation(site.layer)
        if activation is not None:
            return site.skip(f"applies its own activation {activation!r} before the norm")
        names, label = self._label(site, affine, site.outputs[0], "y")
        if names is None or label not in names.kernel or label in names.x:
            return site.skip(f"({site.layer.equation}) does not make the norm's axis {affine.axis} by its kernel alone")
        varies = affine.has_shift or _bias_axes(site)
        old, new, config = self._bias(site, names, label if varies else "")

        def update(w: Weights) -> Weights:
            kernel = _array(w)
            bias = None if w["bias"] is None else _widen(w["bias"], old, new)
            if bias is not None:
                bias = scale_axis(bias, affine.scale, new.index(label))
            if affine.has_shift:
                shift = affine.shift.reshape([-1 if n == label else 1 for n in new])
                bias = shift if bias is None else bias + shift
            return {"kernel": scale_axis(kernel, affine.scale, names.kernel.index(label)), "bias": bias}

        return Absorb(site.layer, ("kernel", "bias"), update, config)

    def forward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = not_plain(site)
        if why is not None:
            return why
        names, label = self._label(site, affine, site.inputs[0], "x")
        if names is None or label not in names.kernel:
            return site.skip(f"({site.layer.equation}) has no kernel axis for the norm's axis {affine.axis}")
        summed = [n for n in names.x if n not in names.y]
        if affine.has_shift and not set(summed) <= set(names.kernel):
            return site.skip(f"({site.layer.equation}) sums over an axis that its kernel has not")
        kept = "".join(n for n in names.y if n in names.kernel)
        old, new, config = self._bias(site, names, kept if affine.has_shift else "")

        def update(w: Weights) -> Weights:
            kernel = _array(w)
            bias = None if w["bias"] is None else _widen(w["bias"], old, new)
            if affine.has_shift:
                gain = np.einsum(f"{names.kernel},{label}->{kept}", kernel, affine.shift)
                gain = gain.reshape([gain.shape[kept.index(n)] if n in kept else 1 for n in new])
                bias = gain if bias is None else bias + gain
            return {"kernel": scale_axis(kernel, affine.scale, names.kernel.index(label)), "bias": bias}

        return Absorb(site.layer, ("kernel", "bias"), update, config)

    def _label(self, site: Site, affine: Affine, shape: tuple[int | None, ...], side: str) -> tuple[Labels | None, str]:
        names = labels(site.layer.equation)
        if names is None:
            return None, ""
        ours = getattr(names, side)
        place = affine.axis - len(shape) + len(ours)
        return (names, ours[place]) if place >= 0 else (None, "")

    def _bias(self, site: Site, names: Labels, wanted: str) -> tuple[str, str, dict[str, str]]:
        """The labels of the bias array before and after, and the config entry that makes it so."""
        axes = _bias_axes(site)
        more = "".join(n for n in names.y if n in axes or n in wanted)
        config = {"bias_axes": more} if set(more) != set(axes) else {}
        return bias_labels(names.y, axes), bias_labels(names.y, more), config


def _bias_axes(site: Site) -> str:
    return site.config(site.layer).get("bias_axes", site.layer.bias_axes) or ""


def _widen(bias: Array, old: str, new: str) -> Array:
    """The bias with axes of size 1 in front for the labels that it did not have."""
    return bias.reshape((1,) * (len(new) - len(old)) + bias.shape)


def _array(w: Weights) -> Array:
    assert w["kernel"] is not None
    return w["kernel"]
