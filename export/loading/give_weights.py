"""The weights of a file, given to the layers that were loaded from it: each gets all of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from ..model.keras_graph import layers_of, own_weights
from .cudnn_weights import as_of_cell, of_cudnn
from .hdf5_weights import Stored, assign, match_weights
from .locally_connected_weights import in_form_of_places, is_locally_connected
from .translations.batch_norm_axes import ONE_AXIS

# Layers whose kernels Keras turned when it read a file of Theano.
TURNED = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


def give_weights(model: keras.Model, found: Iterator[tuple[Any, list[Any]]], *, of_theano: bool) -> list[str]:
    """Give each layer its weights; return the names of the layers whose kernels were turned, for files of Theano.

    Raises:
        ExportError: If a layer has no weights in the file, or weights of other shapes.
    """
    done, turned = set(), []
    for layer, stored in found:
        done.add(id(layer))
        if has_summary(layer):
            _cut(layer, stored[0])
            continue
        turns = of_theano and type(layer).__name__ in TURNED
        if is_locally_connected(layer):
            stored = in_form_of_places(layer, stored)
        if of_cudnn(layer, [tuple(data.shape) for data in stored]):
            stored = as_of_cell(layer, [np.asarray(data) for data in stored])
        for variable, data in zip(own_weights(layer), stored, strict=True):
            value = _value(layer, variable, data)
            if turns and "kernel" in variable.name:
                value = np.flip(value, tuple(range(value.ndim - 2)))
            assign(variable, value, f"'{variable.path}'")
        if turns:
            turned.append(layer.name)
        if hasattr(layer, "finalize_state") and stored:
            layer.finalize_state()
    left = [layer.name for layer in layers_of(model) if own_weights(layer) and id(layer) not in done]
    if left:
        raise ExportError(f"the file has no weights for layer '{left[0]}'")
    return turned


def has_summary(layer: Any) -> bool:
    """Whether a layer cuts its bins from a summary of data, a weight in Keras 2 and a plain array in Keras 3."""
    return isinstance(layer, keras.layers.Discretization) and layer.bin_boundaries is None


def _cut(layer: Any, summary: Any) -> None:
    if len(summary.shape) != 2 or summary.shape[1] == 0:
        raise ExportError(f"layer '{layer.name}' was saved before adapt() told it where to cut its bins")
    layer.summary = np.asarray(summary)
    layer.finalize_state()


def _value(layer: Any, variable: Any, data: Any) -> np.ndarray:
    if _joined(layer, data.shape, variable.shape):
        return np.asarray(data).reshape(variable.shape)
    if tuple(data.shape) != tuple(variable.shape):
        return np.broadcast_to(np.float32(0), data.shape)  # refused without reading it
    return np.asarray(data)


def _joined(layer: Any, stored: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether the weights of a norm differ in shape only: axes made one or put in order, or sizes of 1 around it."""
    if layer.name.endswith(ONE_AXIS):
        return math.prod(stored) == math.prod(wanted)
    if type(layer).__name__ == "LayerNormalization":
        return sorted(stored) == sorted(wanted)
    plain = [size for size in stored if size != 1] == [size for size in wanted if size != 1]
    return type(layer).__name__ == "BatchNormalization" and plain


def weights_by_layer(
    model: keras.Model, stored: dict[str, list[Stored]], of_model: list[Stored]
) -> Iterator[tuple[Any, list[Any]]]:
    """Each loaded layer that has weights of its own, and these as they are stored by the model's layers.

    `of_model` are the weights that the model holds itself.

    Raises:
        ExportError: If the file has weights for more or fewer layers or variables than the model has.
    """
    loaded = [layer for layer in model.layers if layer.weights or has_summary(layer)]
    if len(loaded) != len(stored):
        raise ExportError(
            f"{len(loaded)} of the model's layers have weights in Keras {keras.__version__}, and {len(stored)} in the "
            "file"
        )
    by_name = {layer.name.replace("/", "_"): layer for layer in loaded}
    names = [name.replace("/", "_") for name in stored]
    if set(names) <= set(by_name):
        loaded = [by_name[name] for name in names]
    data: dict[int, Any] = {}
    for layer, weights in zip(loaded, stored.values(), strict=True):
        if has_summary(layer):
            yield layer, [weight.data for weight in weights]
            continue
        for variable, weight in zip(match_weights(layer, weights), weights, strict=True):
            data[id(variable)] = weight.data
    for variable, weight in zip(own_weights(model), of_model, strict=False):
        data[id(variable)] = weight.data
    for layer in layers_of(model):
        own = own_weights(layer)
        if own and all(id(variable) in data for variable in own):
            yield layer, [data[id(variable)] for variable in own]
