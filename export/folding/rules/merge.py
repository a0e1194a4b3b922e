"""Calls that join several tensors: a map at their output is dealt out to their inputs.

Concatenate   A([z1, z2]) = [A1(z1), A2(z2)], A1 and A2 being A's slices; along another axis A1 = A2 = A
Add           A(z1 + z2) = (scale z1 + shift) + (scale z2): the shift to exactly one
Subtract      A(z1 - z2) = (scale z1 + shift) - (scale z2)
Average       A(mean(z1, z2)) = mean(A(z1), A(z2))
forward       only Concatenate: [A1(z1), z2] = A'([z1, z2]), A' being the identity on the other channels
              (Add would need A1 on every addend)

Every branch must end in a layer that takes its part in, so it is all of them or none.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
from keras import tree

# The classes behind keras.ops have no public name.
from keras.src.ops import numpy as operations

from ..affine import Affine
from .base import Pass, Rule, Shape, Site, Skip

L = keras.layers


def _axis(site: Site) -> int:
    return int(site.layer.axis) % len(site.outputs[0])


def _bounds(shapes: tuple[Shape, ...], axis: int) -> list[int] | None:
    sizes = [shape[axis] for shape in shapes]
    if any(n is None for n in sizes):
        return None
    return [0, *itertools.accumulate(int(n or 0) for n in sizes)]


class Concatenate(Rule):
    name = "concatenate"
    layers = (L.Concatenate, operations.Concatenate)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        axis = _axis(site)
        if axis != affine.axis:
            return Pass(tuple((i, affine) for i in range(len(site.inputs))))
        bounds = _bounds(site.inputs, axis)
        if bounds is None:
            return site.skip("joins tensors whose number of channels is not fixed")
        return Pass(tuple((i, affine.part(a, b)) for i, (a, b) in enumerate(itertools.pairwise(bounds))))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        axis = _axis(site)
        if axis != affine.axis:
            return site.skip("joins the norm's output with others along another axis than the norm's")
        bounds = _bounds(site.inputs, axis)
        if bounds is None:
            return site.skip("joins tensors whose number of channels is not fixed")
        scale, shift = np.ones(bounds[-1]), np.zeros(bounds[-1])
        part = slice(bounds[site.index], bounds[site.index + 1])
        scale[part], shift[part] = affine.scale, affine.shift
        return Pass(((0, Affine(scale, shift, axis)),))


class _Sum(Rule):
    def _broadcast(self, site: Site) -> Skip | None:
        if len(tree.flatten(site.args)) != len(site.inputs):
            return site.skip("adds a constant")
        if any(shape != site.outputs[0] for shape in site.inputs):
            return site.skip("broadcasts its inputs")
        return None


class Add(_Sum):
    name = "add"
    layers = (L.Add, L.Subtract, operations.Add, operations.Subtract)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        rest = affine.without_shift()
        return self._broadcast(site) or Pass(tuple((i, rest if i else affine) for i in range(len(site.inputs))))

    def forward(self, site: Site, _affine: Affine) -> Skip:
        return site.skip("adds something else to the norm's output")


class Average(_Sum):
    name = "average"
    layers = (L.Average,)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._broadcast(site) or Pass(tuple((i, affine) for i in range(len(site.inputs))))

    def forward(self, site: Site, _affine: Affine) -> Skip:
        return site.skip("averages the norm's output with something else")
