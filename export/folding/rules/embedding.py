"""Embeddings: y = E[token], E of shape (tokens, out).

backward   A(y) = (scale E + shift)[token], the shift being added to every row
           Not with mask_zero: row 0 then stands for padding, and others may rely on it.
"""

from __future__ import annotations

import keras

from ..affine import Affine, scale_axis
from .base import Absorb, Rule, Site, Skip, Weights, linear_output


class Embedding(Rule):
    name = "embedding"
    layers = (keras.layers.Embedding,)

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        if site.layer.mask_zero:
            return site.skip("masks token 0 (mask_zero=True)")
        why = linear_output(site, affine, len(site.outputs[0]) - 1)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            assert w["embeddings"] is not None
            return {"embeddings": scale_axis(w["embeddings"], affine.scale, -1) + affine.shift}

        return Absorb(site.layer, ("embeddings",), update)

    def forward(self, site: Site, _affine: Affine) -> Skip:
        return site.skip("looks tokens up, which have no scale")
