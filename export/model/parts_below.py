"""What stands below a model beside the layers that its user put there."""

from __future__ import annotations

from typing import Any

import keras

from .keras_graph import children, functional, layers_below, layers_of, nodes


def operations_below(model: Any) -> list[Any]:
    """Every layer below a model, and the operations without layers that its graphs, or those below it, call."""
    graphs = [core for core in map(functional, layers_of(model)) if core is not None]
    called = [node.operation for core in graphs for node in nodes(core)]
    return [*layers_below(model), *(op for op in dict.fromkeys(called) if not isinstance(op, keras.Layer))]


def inner_parts(layer: Any) -> dict[int, Any]:
    """The id of each layer inside of one of Keras' own layers, with that layer, the one that a user knows.

    A cell of a recurrent layer, what TimeDistributed wraps, the projections of an attention.
    """
    found: dict[int, Any] = {}
    for child in children(layer):
        if isinstance(child, keras.Model) or not type(child).__module__.startswith("keras.src."):
            found |= inner_parts(child)
        else:
            found |= {id(part): child for part in layers_below(child)}
    return found
