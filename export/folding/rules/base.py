"""What a fold rule is: how one kind of layer deals with a per-channel affine map at its output or its input.

A rule answers a question about one call (a `Site`) with one of three things:

- `Absorb`: the layer's own weights take the map in.
- `Pass`: the map goes on, unchanged in effect, to the call's inputs (backward) or outputs (forward).
- `Skip`: neither is exact, and why, in words a user understands.

backward: the layer must come to compute A(y) where it computed y.
forward: the layer must compute y as before although its input x_i is now z, where it was A(z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras

from ..affine import Affine, Array

Weights = dict[str, "Array | None"]
Shape = tuple["int | None", ...]


class Skip(NamedTuple):
    """Why nothing can be done."""

    reason: str


class Pass(NamedTuple):
    """The map to apply at each of these inputs (backward) or outputs (forward), by index."""

    onward: tuple[tuple[int, Affine], ...]


@dataclass(frozen=True)
class Absorb:
    """New weights of a layer as a function of its old ones, in float64, and the config entries that must change."""

    layer: Any
    weights: tuple[str, ...]
    update: Callable[[Weights], Weights]
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """One call of a layer, as far as a rule may see it."""

    layer: Any
    name: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    # Which of the inputs a map arrives at, where it comes forward, the tensor itself, and at how many places it stands.
    index: int = 0
    value: Any = None
    places: int = 1
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    # The config entries of a layer that earlier folds have changed.
    config: Callable[[Any], Mapping[str, Any]] = lambda _layer: {}

    def skip(self, why: str) -> Skip:
        return Skip(f"{self.name!r} {why}")


class Rule:
    """The rule of the layer classes named in `layers`; both directions refuse until a subclass says otherwise."""

    name = ""
    layers: tuple[type, ...] = ()
    # Whether it answers also where a tensor is given in several places, or tensors are given by keyword.
    several = keywords = False

    def backward(self, site: Site, _affine: Affine) -> Absorb | Pass | Skip:
        return site.skip(f"({type(site.layer).__name__}) cannot take in a scale and a shift of its output")

    def forward(self, site: Site, _affine: Affine) -> Absorb | Pass | Skip:
        return site.skip(f"({type(site.layer).__name__}) cannot take in a scale and a shift of its input")


def not_plain(site: Site) -> Skip | None:
    """Why the weights of a linear layer are not simply its attributes; None if they are."""
    layer = site.layer
    if getattr(layer, "lora_enabled", False):
        return site.skip("has LoRA weights; merge them first")
    if getattr(layer, "quantization_mode", None) is not None:
        return site.skip(f"is quantized ({layer.quantization_mode})")
    if getattr(layer, "activity_regularizer", None) is not None:
        return site.skip("has an activity regularizer, whose loss would change")
    return None


def own_activation(layer: Any) -> str | None:
    """The name of the activation a layer applies itself; None if it is linear."""
    activation = getattr(layer, "activation", None)
    if activation is None or activation is keras.activations.linear:
        return None
    return getattr(activation, "name", None) or getattr(activation, "__name__", type(activation).__name__)


def another_axis(site: Site, affine: Affine, *axes: int, what: str = "its channels") -> Skip | None:
    """Why a call that has `what` along `axes` can do nothing with the map; None if the map is along just that axis."""
    if axes == (affine.axis,):
        return None
    return site.skip(f"has {what} on axis {', '.join(map(str, axes))}; the norm is on axis {affine.axis}")


def linear_output(site: Site, affine: Affine, channel_axis: int) -> Skip | None:
    """Why a linear layer cannot take in a map of its output, whatever its kernel looks like; None if it can."""
    why = not_plain(site)
    if why is not None:
        return why
    activation = own_activation(site.layer)
    if activation is not None:
        return site.skip(f"applies its own activation {activation!r} before the norm")
    return another_axis(site, affine, channel_axis)


def linear_input(site: Site, affine: Affine, channel_axis: int) -> Skip | None:
    """Why a linear layer cannot take in a map of its input, whatever its kernel looks like; None if it can."""
    return not_plain(site) or another_axis(site, affine, channel_axis, what="its input channels")


def bias_config(site: Site, affine: Affine) -> dict[str, Any]:
    """The config entry that a shift needs."""
    return {"use_bias": True} if affine.has_shift and not site.layer.use_bias else {}
