"""What is to be done to a model: new weights, norms that go, and what to tell about each norm."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import keras

from ..model.projections import variable_of
from .affine import Affine, float64
from .call_graph import Key
from .rules import Absorb
from .rules.base import Weights
from .rules.constant_kernel import PlainLayer


@dataclass
class Fold:
    """One planned fold; `shows_at` are the tensors in which its effect can be compared with the original."""

    norm: str
    into: tuple[str, ...]
    rule: str
    shows_at: list[Key]
    # Multiply-adds a sample that it saves; None if a size is free.
    saved: int | None = 0


@dataclass
class Plan:
    """New weights for some layers, norms to take out, and what to tell about each norm."""

    edits: dict[Any, list[Absorb]] = field(default_factory=lambda: defaultdict(list))
    removed: set[Any] = field(default_factory=set)
    # Norms that become 1x1 depthwise convolutions.
    standalone: dict[Any, Affine] = field(default_factory=dict)
    # Wrappers of a constant kernel that become plain layers.
    plain: dict[Any, PlainLayer] = field(default_factory=dict)
    folds: list[Fold] = field(default_factory=list)
    # The indices of those folds that took only gamma and beta out of a norm.
    tails: set[int] = field(default_factory=set)
    kept: list[tuple[str, str]] = field(default_factory=list)
    # Tensors that the folded model does not reproduce, each with the index of the fold that changed it last.
    altered: dict[Key, int] = field(default_factory=dict)

    def read(self, layer: Any, names: tuple[str, ...]) -> Weights:
        """The weights of a layer as planned so far, in float64."""
        wanted = tuple(dict.fromkeys((*names, *(n for edit in self.edits.get(layer, ()) for n in edit.weights))))
        weights: Weights = {}
        for name in wanted:
            variable = variable_of(layer, name)
            weights[name] = None if variable is None else float64(keras.ops.convert_to_numpy(variable.value))
        for edit in self.edits.get(layer, ()):
            weights |= edit.update(weights)
        return weights

    def config(self, layer: Any) -> dict[str, Any]:
        """The config entries of a layer that change."""
        return {name: value for edit in self.edits.get(layer, ()) for name, value in edit.config.items()}
