"""keras.ops that only move, select, average or pick values: most of an output's axes are axes of the input.

Each operation says of every output axis which input axis it is, or that it is none. A is along an axis; it goes through
if that axis goes through:

axes        f permutes, adds or drops axes, or selects along others than A's: f(A(z)) = A(f(z))
averages    f is a mean over other axes than A's: the same
extremes    max(A(z)) = A(max(z)), and for min, only if scale >= 0 in every channel
padding     pad(A(z)) = A(pad(z)) if the padding repeats values, or if it is zero and so is the shift
"""

from __future__ import annotations

from typing import Any

import numpy as np

# The classes behind keras.ops have no public name.
from keras.src.ops import numpy as operations

from ..affine import Affine
from .base import Pass, Rule, Site, Skip

# For each output axis the input axis that it is, or None.
Axes = list["int | None"]


class _Axes(Rule):
    def backward(self, site: Site, affine: Affine) -> Pass | Skip:
        axes = self._checked(site, affine)
        if isinstance(axes, Skip):
            return axes
        source = axes[affine.axis]
        return self._lost(site, affine) if source is None else Pass(((0, affine.along(source)),))

    def forward(self, site: Site, affine: Affine) -> Pass | Skip:
        axes = self._checked(site, affine)
        if isinstance(axes, Skip):
            return axes
        return Pass(((0, affine.along(axes.index(affine.axis))),)) if affine.axis in axes else self._lost(site, affine)

    def _checked(self, site: Site, affine: Affine) -> Axes | Skip:
        if len(site.inputs) != 1:
            return site.skip("is given more than one tensor")
        return self._axes(site, affine)

    def _lost(self, site: Site, affine: Affine) -> Skip:
        return site.skip(f"({type(site.layer).__name__}) changes the axis {affine.axis} that the norm is on")

    def _axes(self, site: Site, affine: Affine) -> Axes | Skip:
        raise NotImplementedError


def _named(axis: Any, rank: int) -> set[int]:
    """The axes that an argument names; all of them for None."""
    if axis is None:
        return set(range(rank))
    return {int(a) % rank for a in (axis if isinstance(axis, (list, tuple)) else (axis,))}


def _except(changed: set[int], rank: int) -> Axes:
    return [None if axis in changed else axis for axis in range(rank)]


class Transposition(_Axes):
    name = "transposition"
    layers = (operations.Transpose, operations.Swapaxes, operations.Moveaxis)

    def _axes(self, site: Site, _affine: Affine) -> Axes:
        # Sizes that tell the axes apart; the array itself is a view of one number.
        marked = np.broadcast_to(np.empty(()), range(2, 2 + len(site.inputs[0])))
        o = site.layer
        if isinstance(o, operations.Transpose):
            moved = np.transpose(marked, o.axes)
        elif isinstance(o, operations.Swapaxes):
            moved = np.swapaxes(marked, o.axis1, o.axis2)
        else:
            moved = np.moveaxis(marked, o.source, o.destination)
        return [n - 2 for n in moved.shape]


class ExpandDims(_Axes):
    name = "new axes"
    layers = (operations.ExpandDims,)

    def _axes(self, site: Site, _affine: Affine) -> Axes:
        new = _named(site.layer.axis, len(site.outputs[0]))
        old = iter(range(len(site.inputs[0])))
        return [None if axis in new else next(old) for axis in range(len(site.outputs[0]))]


class Squeeze(_Axes):
    name = "axes of one left out"
    layers = (operations.Squeeze,)

    def _axes(self, site: Site, _affine: Affine) -> Axes:
        shape, axis = site.inputs[0], site.layer.axis
        gone = {i for i, n in enumerate(shape) if n == 1} if axis is None else _named(axis, len(shape))
        return [i for i in range(len(shape)) if i not in gone]


class Slice(_Axes):
    name = "slice"
    layers = (operations.GetItem,)

    def _axes(self, site: Site, _affine: Affine) -> Axes | Skip:
        key = site.args[1] if len(site.args) > 1 else site.kwargs.get("key")
        parts = list(key) if isinstance(key, (list, tuple)) else [key]
        if any(not (p is None or p is Ellipsis or isinstance(p, (int, slice))) for p in parts):
            return site.skip("is indexed with tensors or arrays")
        rest = len(site.inputs[0]) - sum(p is not None and p is not Ellipsis for p in parts)
        at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
        parts[at : at + 1] = [slice(None)] * rest
        axes: Axes = []
        axis = 0
        for part in parts:
            if part is None:
                axes.append(None)
                continue
            if isinstance(part, slice):
                # Of an axis that is cut, the norm does not know all channels on the other side.
                axes.append(axis if part == slice(None) else None)
            axis += 1
        return axes


class Selection(_Axes):
    """What takes positions along some axes, in another order or more than once."""

    name = "selection"
    layers = (operations.Flip, operations.Roll, operations.Repeat)

    def _axes(self, site: Site, _affine: Affine) -> Axes:
        rank = len(site.inputs[0])
        axes = _except(_named(site.layer.axis, rank), rank)
        return axes if len(site.outputs[0]) == rank else [None] * len(site.outputs[0])


class Mean(_Axes):
    name = "mean"
    layers: tuple[type, ...] = (operations.Mean,)

    def _axes(self, site: Site, _affine: Affine) -> Axes | Skip:
        rank = len(site.inputs[0])
        axes = _except(_named(site.layer.axis, rank), rank)
        return axes if site.layer.keepdims else [axis for axis in axes if axis is not None]


class Extreme(Mean):
    name = "maximum or minimum"
    layers = (operations.Max, operations.Amax, operations.Min, operations.Amin)

    def _axes(self, site: Site, affine: Affine) -> Axes | Skip:
        if not affine.is_monotone:
            return site.skip("takes an extreme, and the norm's gamma is negative in some channel")
        if getattr(site.layer, "initial", None) is not None:
            return site.skip(f"starts from {site.layer.initial}")
        return super()._axes(site, affine)


class Pad(_Axes):
    name = "padding"
    layers = (operations.Pad,)

    def _axes(self, site: Site, affine: Affine) -> Axes | Skip:
        rank, constant = len(site.inputs[0]), site.kwargs.get("constant_values")
        widths = [tuple(pair) for pair in site.layer.pad_width]
        widths = widths * rank if len(widths) == 1 else widths
        padded = {axis for axis, pair in enumerate(widths) if any(pair)}
        if padded and site.layer.mode == "constant":
            if constant is not None and not (np.ndim(constant) == 0 and constant == 0):
                return site.skip(f"pads with {constant}, which the norm would change")
            if affine.has_shift:
                return site.skip("pads with zeros, which the norm would shift")
        return _except(padded, rank)
