"""The layout that a Keras model has its images in: a graph without convolutions does not show it."""

from __future__ import annotations

import keras

from ....model.keras_graph import parts

_FIRST, _LAST = "channels_first", "channels_last"


def is_channels_first(model: keras.Model) -> bool:
    """Whether the layers of `model` that know a layout, norms by their axis among them, all have channels second."""
    found = {_layout(layer) for layer in parts(model)}
    return _FIRST in found and _LAST not in found


def _layout(layer: keras.layers.Layer) -> str | None:
    if isinstance(layer, keras.layers.Flatten):  # its default says nothing of its input
        return None
    if "Normalization" not in type(layer).__name__:
        return getattr(layer, "data_format", None)
    axis, shape = getattr(layer, "axis", None), (layer.get_build_config() or {}).get("input_shape")
    if not isinstance(axis, int) or shape is None or len(shape) < 4:
        return None
    return {1: _FIRST, len(shape) - 1: _LAST}.get(axis % len(shape))
