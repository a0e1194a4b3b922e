"""Attention: the projections of query, key and value take a map of their input, that of the output one of its output.

q = x Wq + bq, likewise k, v and the gate, W of shape (in, heads, size); y = o Wo + bo, Wo of shape (heads, size, out)

forward    A(z) W + b = z (scale W) + (b + shift W)       for every projection of the tensor that the map arrives at:
           in self-attention all of them, for query alone Wq (and the gate's)
backward   A(y) = o (Wo scale) + (scale bo + shift)

Not where the tensor serves as a mask too, and backward not where the scores are returned. A layer has a bias in all of
its projections or in none: where a shift needs one, the others are zero.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ...model.projections import projections_of
from ..affine import Affine, Array, add_bias, scale_axis, scale_output_bias
from .base import Absorb, Rule, Site, Skip, Weights, linear_output, not_plain

L = keras.layers
_ROLES = {"query": ("query", "gate"), "key": ("key",), "value": ("value",)}


class Attention(Rule):
    name = "attention"
    layers = (L.MultiHeadAttention, L.GroupQueryAttention)
    several = keywords = True

    def forward(self, site: Site, affine: Affine) -> Absorb | Skip:
        given = inspect.signature(type(site.layer).call).bind_partial(site.layer, *site.args, **site.kwargs).arguments
        roles = [role for role in _ROLES if given.get(role) is site.value]
        if len(roles) < site.places:
            return site.skip("uses the norm's output also as a mask")
        if given.get("key") is None and "value" in roles:
            roles.append("key")
        there = projections_of(site.layer)
        projections = [name for role in roles for name in _ROLES[role] if name in there]
        why = self._not_plain(site)
        if why is None and affine.axis != len(site.inputs[site.index]) - 1:
            why = site.skip(f"has its features on the last axis; the norm is on axis {affine.axis}")
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            new = dict(w)
            for name in projections:
                kernel = _array(w, name)
                gain = np.tensordot(affine.shift, kernel, 1)
                new[f"{name}.kernel"] = scale_axis(kernel, affine.scale, 0)
                new[f"{name}.bias"] = add_bias(w[f"{name}.bias"], gain)
            return new

        return self._absorb(site, affine, projections, update)

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        if len(site.outputs) > 1:
            return site.skip("returns its scores too")
        why = self._not_plain(site) or linear_output(site, affine, len(site.outputs[0]) - 1)
        if why is not None:
            return why
        if len(projections_of(site.layer)["attention_output"].kernel.shape) != 3:
            return site.skip("has features on several axes")

        def update(w: Weights) -> Weights:
            name = "attention_output"
            return {
                **w,
                f"{name}.kernel": scale_axis(_array(w, name), affine.scale, -1),
                f"{name}.bias": scale_output_bias(w[f"{name}.bias"], affine),
            }

        return self._absorb(site, affine, ["attention_output"], update)

    def _not_plain(self, site: Site) -> Skip | None:
        parts = [(layer, f"{site.name}/{layer.name}") for layer in projections_of(site.layer).values()]
        found = (not_plain(replace(site, layer=layer, name=name)) for layer, name in parts)
        return next((why for why in found if why is not None), None)

    def _absorb(self, site: Site, affine: Affine, projections: list[str], update: Any) -> Absorb:
        has_bias = site.config(site.layer).get("use_bias", site.layer.use_bias)
        gains_bias = affine.has_shift and not has_bias
        biased = projections_of(site.layer) if gains_bias else projections
        names = (*(f"{name}.kernel" for name in projections), *(f"{name}.bias" for name in biased))
        return Absorb(site.layer, names, update, {"use_bias": True} if gains_bias else {})


def _array(w: Weights, projection: str) -> Array:
    kernel = w[f"{projection}.kernel"]
    assert kernel is not None
    return kernel
