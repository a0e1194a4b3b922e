"""The layers and models whose `call` is Python code: those that were traced to graphs, and why others were not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import keras

from ..model.keras_graph import Traced, functional


@dataclass(eq=False)
class Opening:
    """The layers whose call is Python code: those whose calls were traced, and why others were not."""

    cores: dict[Any, Traced] = field(default_factory=dict)
    refused: dict[Any, str] = field(default_factory=dict)
    # New names for layers that would stand beside another of their name.
    names: dict[Any, str] = field(default_factory=dict)

    def core(self, model: Any) -> Any:
        """The graph behind a layer or model, or None where there is none."""
        return self.cores[model] if self.holds(model) else functional(model)

    def holds(self, layer: Any) -> bool:
        return isinstance(layer, keras.Layer) and layer in self.cores

    def name(self, layer: Any) -> str:
        return str(self.names.get(layer, layer.name) if isinstance(layer, keras.Layer) else layer.name)

    def only(self, layers: Iterable[Any]) -> Opening:
        """The same with no other layers opened than these."""
        return Opening({layer: self.cores[layer] for layer in layers}, self.refused, self.names)


def why_no_graph(model: Any) -> str:
    if not isinstance(model, keras.Model):
        return f"fold needs a keras.Model; received {type(model).__name__}."
    if isinstance(model, keras.Sequential) and type(model).call is keras.Sequential.call:
        return (
            f"fold needs a built model; received the Sequential model {model.name!r}, whose input shape is unknown. "
            "Give it a keras.Input first, or call it once."
        )
    return why_not_traced(model, "it was not traced")


def why_not_traced(model: Any, reason: str) -> str:
    return (
        "fold needs a model that is a graph of layers, or whose call can be traced to one on symbolic tensors; "
        f"received {model.name!r}, whose class {type(model).__name__} computes its output in Python code, and "
        f"{reason}. "
        "Write its call with layers and keras.ops alone, or rebuild it with keras.Model(inputs, outputs)."
    )
