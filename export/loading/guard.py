"""The guard: no value of a layer's config in the file may be lost or changed without a translation that says so.

The translated config is compared with what the loaded layers say of themselves.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import keras

from ..errors import ExportError
from .config_tree import Entry, entries_in, is_entry, is_model, name_of

# Keys of a config that mean nothing in inference, or are compared elsewhere, and why.
UNCOMPARED: dict[str, str] = {
    "name": "wrappers rename the layers within them",
    "trainable": "says what training changes",
    "dtype": "Keras writes it in several forms; a wrong one shows in the weights' types",
    "layers": "each layer is compared by itself",
    "layer": "each layer is compared by itself",
    "backward_layer": "each layer is compared by itself",
    "cell": "each layer is compared by itself",
    "cells": "each layer is compared by itself",
    "input_layers": "a model that is wired otherwise has other layers or shapes",
    "output_layers": "a model that is wired otherwise has other layers or shapes",
    "build_input_shape": "the input layer states it",
    "batch_shape": "an input layer may be renamed, and the signature shows its shape",
    "function": "of a Lambda layer: the user gives it, or runs what is in the file",
    "seed": "random numbers are drawn in training",
    "ragged": "refused where it is true",
    "sparse": "how an input is fed, or gradients are written",
    "optional": "what a call may leave out",
    "quantization_config": "the weights say it",
    "lora_rank": "the weights say it",
    "lora_alpha": "the weights say it",
    "autocast": "the dtype policy says it",
}
_TRAINING_ONLY = re.compile(r".*_(initializer|regularizer|constraint)")
# Layers that hand on what they get in inference, whatever their arguments.
_IDLE = re.compile(r"Random(?!FourierFeatures)\w+|\w*Dropout(\dD)?|GaussianNoise|ActivityRegularization")
# Names that Keras 3 gives to the same function.
_SAME = {"swish": "silu", "hard_swish": "hard_silu"}


def compare_configs(entry: Entry, layer: Any, custom: Collection[str] = ()) -> None:
    """Compare each layer of a config with the loaded one, the layers within layers too; only stock classes.

    `custom` are the names of the user's own functions, which Keras writes in forms of its own.

    Raises:
        ExportError: If a value was dropped or changed; it names the layer, the key and both values.
    """
    config = entry["config"]
    if not isinstance(config, dict) or not _stock(layer):
        return
    if not is_model(entry) and not _IDLE.fullmatch(type(layer).__name__):
        _compare(name_of(entry), config, layer.get_config(), custom)
    for below, loaded in _pairs(entry, layer):
        compare_configs(below, loaded, custom)


def _stock(layer: Any) -> bool:
    return type(layer).__module__.split(".")[0] in ("keras", "keras_norms")


def _pairs(entry: Entry, layer: Any) -> list[tuple[Entry, Any]]:
    if is_model(entry):
        layers = {each.name: each for each in layer.layers}
        found = [(below, layers.get(name_of(below))) for below in entry["config"]["layers"]]
        return [(below, loaded) for below, loaded in found if loaded is not None]
    loaded: list[Any] = []
    for name in ("layer", "forward_layer", "backward_layer", "cell"):
        part = getattr(layer, name, None)
        loaded += [part] if isinstance(part, keras.Layer) else []
    loaded += list(getattr(layer, "cells", []))
    return list(zip(entries_in(entry), loaded, strict=False))


def _compare(name: str, stated: dict[str, Any], loaded: dict[str, Any], custom: Collection[str]) -> None:
    for key, value in stated.items():
        if key in UNCOMPARED or _TRAINING_ONLY.fullmatch(key) or (isinstance(value, str) and value in custom):
            continue
        if key not in loaded and value not in (None, False, {}, []):
            raise ExportError(
                f"layer '{name}' says {key}={_short(value)}, which Keras {keras.__version__} does not know for its "
                "class. What it means there would be lost"
            )
        if key in loaded and not _equal(value, loaded[key]):
            raise ExportError(
                f"layer '{name}' says {key}={_short(value)}, and Keras {keras.__version__} made it "
                f"{key}={_short(loaded[key])}"
            )


def _short(value: Any) -> str:
    return repr(value)[:80]


def _equal(a: Any, b: Any) -> bool:
    if is_entry(a) or is_entry(b):
        return bool(_named(a) == _named(b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, (list, tuple)) != isinstance(b, (list, tuple)):
        several, one = (a, b) if isinstance(a, (list, tuple)) else (b, a)
        return one is not None and not isinstance(one, str) and all(_equal(x, one) for x in several)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return bool(a == b)
    return _SAME.get(a, a) == _SAME.get(b, b) if isinstance(a, str) and isinstance(b, str) else bool(a == b)


def _named(value: Any) -> Any:
    """What an object of a config is: the name of its function, or its class without the package."""
    if not is_entry(value):
        return _SAME.get(value, value) if isinstance(value, str) else value
    if value["class_name"] == "function":
        return value["config"]
    return value["class_name"].rpartition(">")[2]
