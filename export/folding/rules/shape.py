"""Calls that only move values: flattening, reshaping, permuting, repeating.

A is along one axis before; it goes through if it is along one axis after.

Flatten    (n, h, w, c) -> (n, h*w*c): scale and shift are tiled over the positions (repeated for channels first);
           backward only if every position has the same map, that is if there is one position
Reshape    likewise, whenever all slices across one axis of the new shape agree
Permute    the axis moves along
"""

from __future__ import annotations

import keras

# The classes behind keras.ops have no public name.
from keras.src.ops import numpy as operations

from ..affine import Affine, reshaped
from .base import Pass, Rule, Shape, Site, Skip

L = keras.layers


class Reshape(Rule):
    name = "reshape"
    layers: tuple[type, ...] = (L.Reshape, operations.Reshape)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, site.outputs[0], site.inputs[0])

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        return self._through(site, affine, site.inputs[0], site.outputs[0])

    def _through(self, site: Site, affine: Affine, shape: Shape, target: Shape) -> Pass | Skip:
        through = reshaped(affine, shape, target)
        if through is None:
            return site.skip(f"turns {shape} into {target}, where the norm is no longer along one axis")
        return Pass(((0, through),))


class Flatten(Reshape):
    """As Reshape; with data_format="channels_first" the channels first move from axis 1 to the end."""

    name = "flatten"
    layers = (L.Flatten,)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        source = site.inputs[0]
        if not self._moves_channels(site):
            return super().backward(site, affine)
        answer = self._through(site, affine, site.outputs[0], (source[0], *source[2:], source[1]))
        if isinstance(answer, Skip):
            return answer
        ((_, map_),) = answer.onward
        return Pass(((0, map_.along(1 if map_.axis == len(source) - 1 else map_.axis + 1)),))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        source = site.inputs[0]
        if not self._moves_channels(site) or affine.axis == 0:
            return super().forward(site, affine)
        moved = affine.along(len(source) - 1 if affine.axis == 1 else affine.axis - 1)
        return self._through(site, moved, (source[0], *source[2:], source[1]), site.outputs[0])

    @staticmethod
    def _moves_channels(site: Site) -> bool:
        return site.layer.data_format == "channels_first" and len(site.inputs[0]) > 2


class Permute(Rule):
    name = "permute"
    layers = (L.Permute,)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        if affine.axis == 0:
            return site.skip("keeps the batch first; the norm is on the batch")
        return Pass(((0, affine.along(site.layer.dims[affine.axis - 1])),))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        if affine.axis == 0:
            return site.skip("keeps the batch first; the norm is on the batch")
        return Pass(((0, affine.along(site.layer.dims.index(affine.axis) + 1)),))


class RepeatVector(Rule):
    """(n, c) -> (n, times, c)."""

    name = "repeat"
    layers = (L.RepeatVector,)

    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        if affine.axis != 2:
            return site.skip(f"repeats along axis 1; the norm is on axis {affine.axis}")
        return Pass(((0, affine.along(1)),))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        return Pass(((0, affine.along(2)),)) if affine.axis == 1 else site.skip("repeats what the norm is along")
