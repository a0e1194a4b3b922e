"""TimeDistributed: the rule of the layer inside, on tensors without their time axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras

from ..affine import Affine
from .base import Absorb, Pass, Rule, Shape, Site, Skip


def _without_time(shape: Shape) -> Shape:
    return (shape[0], *shape[2:])


class TimeDistributed(Rule):
    name = "time-distributed layer"
    layers = (keras.layers.TimeDistributed,)

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rule_of = {layer: rule for rule in rules for layer in rule.layers}

    def backward(self, site: Site, affine: Affine) -> Absorb | Pass | Skip:
        return self._inside(site, affine, lambda rule, inner, map_: rule.backward(inner, map_))

    def forward(self, site: Site, affine: Affine) -> Absorb | Pass | Skip:
        return self._inside(site, affine, lambda rule, inner, map_: rule.forward(inner, map_))

    def _inside(
        self, site: Site, affine: Affine, ask: Callable[[Rule, Site, Affine], Absorb | Pass | Skip]
    ) -> Absorb | Pass | Skip:
        rule = self.rule_of.get(type(site.layer.layer))
        if rule is None:
            return site.skip(
                f"({type(site.layer.layer).__name__} in TimeDistributed) is not linear, or not known to be"
            )
        if affine.axis < 2:
            return site.skip(f"treats time steps alike; the norm is on axis {affine.axis}")
        inner = replace(
            site,
            layer=site.layer.layer,
            inputs=tuple(map(_without_time, site.inputs)),
            outputs=tuple(map(_without_time, site.outputs)),
        )
        answer = ask(rule, inner, affine.along(affine.axis - 1))
        if isinstance(answer, Pass):
            return Pass(tuple((i, map_.along(map_.axis + 1)) for i, map_ in answer.onward))
        return answer
