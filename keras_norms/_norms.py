"""The norms of a model, wherever they stand: in nested models, in wrappers, in layers of the user's own.

The only module of the layers' package that reads private attributes of Keras, which has no public way to the layers
below a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras

from keras_norms.batch_normalization import BatchNormalization
from keras_norms.group_normalization import GroupNormalization
from keras_norms.instance_normalization import InstanceNormalization
from keras_norms.layer_normalization import LayerNormalization

BATCH_NORMS: tuple[type, ...] = (keras.layers.BatchNormalization, BatchNormalization)
SAMPLE_NORMS: tuple[type, ...] = (
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
)


class Norm(NamedTuple):
    """A norm of a model, and its name there: behind the names of the models and layers that it stands in."""

    name: str
    layer: Any


def norms_of(model: Any) -> list[Norm]:
    """Every norm at or below a layer or model, once, in the order of its layers."""
    found: dict[int, Norm] = {}
    for name, layer in named_layers(model):
        if isinstance(layer, (*BATCH_NORMS, *SAMPLE_NORMS)):
            found.setdefault(id(layer), Norm(name, layer))
    return list(found.values())


def batch_norms_of(model: Any) -> list[Norm]:
    return [norm for norm in norms_of(model) if isinstance(norm.layer, BATCH_NORMS)]


def named_layers(layer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The layers below a layer, each with its name, enclosing ones first; the layer itself if nothing is below it."""
    children = layers_below(layer)
    if not children and not prefix:
        yield layer.name, layer
    for child in children:
        yield f"{prefix}{child.name}", child
        yield from named_layers(child, f"{prefix}{child.name}/")


def layers_below(layer: Any) -> Sequence[Any]:
    """The layers that a layer or model holds itself."""
    return list(layer._flatten_layers(recursive=False, include_self=False))


def computes_as_named(layer: Any, classes: Sequence[Any]) -> bool:
    """Whether the layer is one of the classes, or a subclass that leaves `call` as it is."""
    return any(isinstance(layer, cls) and type(layer).call is cls.call for cls in classes)


def check_model(model: object, what: str) -> None:
    """Checks that a function got a built model.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If it has no weights yet.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"{what} takes a Keras model. Received: {model!r}. Load a file with keras.saving.load_model.")
    if not model.built:
        raise ValueError(
            f"{what} needs a model that has its weights. Received: {model.name!r}, which is not built. "
            "Call it once on a batch, or give it an input shape."
        )
