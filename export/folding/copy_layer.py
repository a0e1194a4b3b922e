"""Builds a layer again from its config, and copies its state: variables, vocabularies, adapted statistics."""

from __future__ import annotations

import inspect
import tempfile
from typing import Any

import keras

from ..errors import FoldError
from ..model.keras_graph import layers_of


def from_config(layer: Any, config: dict[str, Any]) -> Any:
    """A new layer of the same config; the classes of the layer and its parts need not be registered."""
    activation = getattr(layer, "activation", None)
    own = inspect.isfunction(activation) and not activation.__module__.startswith("keras.")
    if own and type(layer).__module__.startswith("keras.src.layers."):
        # A function of the user's own: it need not be found again by name.
        clone = type(layer).from_config({**config, "activation": None})
        clone.activation = activation
        return clone
    classes = {type(part).__name__: type(part) for part in layers_of(layer)}
    with keras.saving.custom_object_scope(classes):
        return type(layer).from_config(config)


def copy_state(old: Any, new: Any) -> None:
    """Every variable of a layer, and what it keeps outside of variables (vocabularies, adapted statistics)."""
    sources, targets = old.variables, new.variables
    if [tuple(v.shape) for v in sources] != [tuple(v.shape) for v in targets]:
        raise FoldError(
            f"fold builds every layer anew from its get_config(); the layer {old.name!r} ({type(old).__name__}) comes "
            f"back with {len(targets)} variables of other shapes than its {len(sources)}."
        )
    if hasattr(old, "save_assets") and hasattr(new, "load_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    for source, target in zip(sources, targets, strict=True):
        target.assign(source.value)
        if source.trainable != target.trainable:
            target.trainable = source.trainable
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()


def constructs(model: Any, *names: str) -> bool:
    """Whether the model's class is built from these arguments, as Keras' own is."""
    return tuple(inspect.signature(type(model).__init__).parameters)[1 : 1 + len(names)] == names
