"""Dense layers of any rank.

y = x W + b, W of shape (in, out), on the last axis

backward   A(y) = x (W scale) + (scale b + shift)      scale along out
forward    A(z) W + b = z (scale W) + (b + shift W)    scale along in
"""

from __future__ import annotations

import keras

from ..affine import Affine, add_bias, scale_axis, scale_output_bias
from .base import Absorb, Rule, Site, Skip, Weights, bias_config, linear_input, linear_output


class Dense(Rule):
    name = "dense"
    layers = (keras.layers.Dense,)
    weights = ("kernel", "bias")

    def backward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = linear_output(site, affine, len(site.outputs[0]) - 1)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            assert w["kernel"] is not None
            return {
                "kernel": scale_axis(w["kernel"], affine.scale, -1),
                "bias": scale_output_bias(w["bias"], affine),
            }

        return Absorb(site.layer, self.weights, update, bias_config(site, affine))

    def forward(self, site: Site, affine: Affine) -> Absorb | Skip:
        why = linear_input(site, affine, len(site.inputs[0]) - 1)
        if why is not None:
            return why

        def update(w: Weights) -> Weights:
            assert w["kernel"] is not None
            return {
                "kernel": scale_axis(w["kernel"], affine.scale, 0),
                "bias": add_bias(w["bias"], affine.shift @ w["kernel"]),
            }

        return Absorb(site.layer, self.weights, update, bias_config(site, affine))
