"""The weights of Keras 1 in the order and the layout of Keras 2, by the rules of Keras 2.0, which read such files.

A recurrent layer had a matrix for each gate, a convolution of `dim_ordering="th"` the filters first in its kernel, a
convolution over rows a kernel of two sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ..errors import ExportError
from ..model.keras_graph import layers_of
from .config_tree import Entry, entries_in, name_of, walk
from .give_weights import TURNED
from .hdf5_weights import Stored

_Arrays = list[np.ndarray]


def backend_of(model: keras.Model, stored: dict[str, list[Stored]]) -> str | None:
    """The backend that wrote the weights: variables of TensorFlow are called `dense_1_W:0`, of Theano `dense_1_W`.

    Raises:
        ExportError: If nothing tells it and there are kernels that only one of the two turns.
    """
    names = [weight.name for weights in stored.values() for weight in weights]
    if names and not any(name.startswith("param_") for name in names):
        return "tensorflow" if all(":" in name for name in names) else "theano"
    turned = [layer.name for layer in layers_of(model) if type(layer).__name__ in TURNED]
    if turned:
        raise ExportError(
            f"its weights have no names, so nothing tells whether Theano wrote the kernel of layer '{turned[0]}', and "
            "it would have to be turned"
        )
    return None


def check_outputs(tree: Entry, model: keras.Model) -> None:
    """Compare the output shapes that transposed convolutions stated in Keras 1 with those that they have now.

    Raises:
        ExportError: If they differ: Keras 1 took any shape that rounds to the input's.
    """
    for entry in entries_in(tree):
        stated = entry.get("stated_output")
        made = model.get_layer(name_of(entry)).output.shape if stated else None
        if stated and made is not None and list(stated[1:]) != list(made[1:]):
            raise ExportError(f"layer '{name_of(entry)}' has outputs of shape {stated}, and Keras 3 makes them {made}")


def as_keras_2(tree: Entry, stored: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """The weights of each layer as Keras 2 would have stored them.

    Raises:
        ExportError: If a layer has more or fewer weights than Keras 1 gave to its class.
    """
    entries = {name_of(entry).replace("/", "_"): entry for entry in entries_in(tree)}
    found = {}
    for name, weights in stored.items():
        entry = entries.get(name.replace("/", "_"))
        found[name] = weights if entry is None else _converted(entry, weights)
    return found


def _converted(entry: Entry, weights: list[Stored]) -> list[Stored]:
    inner = [below for below in walk(entry) if not entries_in(below)]
    if inner == [entry]:
        return _of_layer(entry, weights, name_of(entry))
    if entry["class_name"] == "Bidirectional":
        half = len(weights) // 2
        layer = entry["config"]["layer"]
        parts = (("forward", weights[:half]), ("backward", weights[half:]))
        return [each for side, part in parts for each in _of_layer(layer, part, f"{side}_{name_of(layer)}")]
    if len(inner) == 1:  # a wrapper of one layer
        return _of_layer(inner[0], weights, name_of(inner[0]))
    return _of_layers(inner, weights, name_of(entry))


def _of_layers(inner: list[Entry], weights: list[Stored], name: str) -> list[Stored]:
    """The weights of a nested model, whose names begin with those of its layers."""
    named = {name_of(below).rpartition("/")[2]: below for below in inner}
    groups: dict[str, list[Stored]] = {}
    for weight in weights:
        own = weight.name.rpartition("/")[2]
        begins = [key for key in named if own.startswith(f"{key}_")]
        if not begins:
            raise ExportError(f"weight '{weight.name}' of the model '{name}' does not say of which layer it is")
        groups.setdefault(max(begins, key=len), []).append(weight)
    made = {key: _of_layer(named[key], group, key) for key, group in groups.items()}
    return [weight for group in made.values() for weight in group]


_ROLES = {
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "Embedding": ("embeddings",),
    "PReLU": ("alpha",),
    "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "ConvLSTM2D"), ("kernel", "recurrent_kernel", "bias")),
}


def _of_layer(entry: Entry, weights: list[Stored], name: str) -> list[Stored]:
    roles = _ROLES.get(entry["class_name"], ("kernel", "bias"))
    convert = _CONVERSIONS.get(entry["class_name"])
    data = [weight.data for weight in weights]
    if convert is not None:
        data = convert([np.asarray(array) for array in data], entry["config"])
    if len(data) > len(roles):
        raise ExportError(f"layer '{name}' has {len(weights)} weights, more than its class had in Keras 1")
    return [Stored(f"{name}/{role}", array) for role, array in zip(roles, data, strict=False)]


def _conv1d(weights: _Arrays, config: dict[str, Any]) -> _Arrays:
    kernel, length = weights[0], _number(config["kernel_size"])
    if kernel.ndim == 4 and kernel.shape[:2] != (length, 1):  # up to Keras 1.1: filters, channels, length, 1
        kernel = kernel.transpose(2, 3, 1, 0)
    return [kernel[:, 0] if kernel.ndim == 4 else kernel, *weights[1:]]


def _number(value: Any) -> int:
    return int(value[0] if isinstance(value, list) else value)


def _filters_first(weights: _Arrays, config: dict[str, Any]) -> _Arrays:
    """Filters, channels, and the sizes, where channels stood before the sizes in the data too."""
    if config.get("data_format") != "channels_first":
        return weights
    kernel = weights[0]
    return [kernel.transpose(*range(2, kernel.ndim), 1, 0), *weights[1:]]


def _transposed(weights: _Arrays, config: dict[str, Any]) -> _Arrays:
    order = (2, 3, 0, 1) if config.get("data_format") == "channels_first" else (0, 1, 3, 2)
    return [weights[0].transpose(order), *weights[1:]]


def _gates(order: tuple[int, ...]) -> Callable[[_Arrays, dict[str, Any]], _Arrays]:
    """A matrix for each gate, in an order, beside each other; `consume_less="gpu"` stored them so."""

    def convert(weights: _Arrays, config: dict[str, Any]) -> _Arrays:
        if len(weights) == 3 * len(order):
            joined = [[weights[3 * gate + part] for gate in order] for part in range(3)]
            if config.get("data_format") == "channels_first":
                joined[:2] = [[kernel.transpose(2, 3, 1, 0) for kernel in kernels] for kernels in joined[:2]]
            return [np.concatenate(arrays, axis=-1) for arrays in joined]
        return weights

    return convert


_LSTM = _gates((0, 2, 1, 3))  # stored: input, cell, forget, output; Keras 2: input, forget, cell, output
_CONVERSIONS: dict[str, Callable[[_Arrays, dict[str, Any]], _Arrays]] = {
    "Conv1D": _conv1d,
    "Conv2D": _filters_first,
    "Conv3D": _filters_first,
    "Conv2DTranspose": _transposed,
    "LSTM": _LSTM,
    "ConvLSTM2D": _LSTM,
    "GRU": _gates((0, 1, 2)),
}
