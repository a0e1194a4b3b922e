"""The dense layers within an attention layer, and its weights by their names."""

from __future__ import annotations

from typing import Any

import keras

from .keras_graph import children


def projections_of(attention: Any) -> dict[str, Any]:
    """The dense layers within an attention layer by their names: query, key, value, attention_output and maybe gate."""
    return {part.name: part for part in children(attention) if isinstance(part, keras.layers.EinsumDense)}


def variable_of(layer: Any, name: str) -> Any:
    """A weight of a layer by the name of its attribute, or None; of an attention layer as in "query.kernel"."""
    projection, _, attribute = name.rpartition(".")
    return getattr(projections_of(layer)[projection] if projection else layer, attribute)
