"""A translated config in the form in which Keras 3 writes its own: each object with its module and registered name.

Keras 3 reads this form with its current code, not with its loader of legacy files, which drops some arguments.
"""

from __future__ import annotations

from typing import Any

import keras

from ..errors import ExportError
from .config_tree import Entry, entries_in, is_entry, is_model, name_of
from .inbound import translate_calls

_INITIALIZERS = ("initializer", "regularizer", "constraint")
_FUNCTIONS = ("activation", "recurrent_activation")
_MODULES = {
    "Functional": "keras.src.models.functional",
    "Sequential": "keras",
    # Layers of keras.applications, which are no public layers.
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
_OF_KERAS = ("None", "keras", "tf_keras")  # the modules of stock classes; files before Keras 2.12 name none
# Layers of Keras 2 that Keras 3 has no more.
_GONE = (
    *("DenseFeatures", "AbstractRNNCell"),
    *("RandomFourierFeatures", "MaxoutDense", "Highway", "Merge", "ClassMethod"),
)
# What a functional model is made of; Keras 3 hands every other key to the constructor of the class.
_OF_FUNCTIONAL = ("name", "layers", "input_layers", "output_layers")


def to_native(entry: Entry, custom: dict[str, Any]) -> None:
    """Rewrite a layer, with all below it, as Keras 3 would have written it.

    Raises:
        ExportError: If a class is neither stock nor registered, nor among the custom objects.
    """
    _find_class(entry, custom)
    for below in entries_in(entry):
        to_native(below, custom)
    config = entry["config"]
    if is_model(entry) and entry["class_name"] == "Functional":
        for layer in config["layers"]:
            layer.setdefault("name", name_of(layer))
        translate_calls(entry)
        entry["config"] = {key: config[key] for key in _OF_FUNCTIONAL if key in config}
    else:
        _name_objects(entry, custom)
    for key in ("build_config", "compile_config", "shared_object_id"):
        entry.pop(key, None)


def _find_class(entry: Entry, custom: dict[str, Any]) -> None:
    name, module = entry["class_name"], entry.get("module")
    if str(module).startswith("keras.src.ops."):
        entry["registered_name"] = name
        return
    stated = entry.get("registered_name") or name
    for candidate in dict.fromkeys((stated, name, f"Custom>{name}", name.rpartition(">")[2])):
        found = keras.saving.get_registered_object(candidate, custom_objects=custom)
        stated_so = candidate == stated != name  # in a package of its own
        if found is not None and (candidate in custom or stated_so or not hasattr(keras.layers, name)):
            entry.update(module=None, class_name=getattr(found, "__name__", name), registered_name=candidate)
            return
    plain = name.removeprefix("Custom>")  # as Keras 2 registers classes without a package, also its own
    of_keras = str(module).split(".")[0] in _OF_KERAS
    if plain in _MODULES and of_keras:
        entry.update(class_name=plain, module=_MODULES[plain], registered_name=plain)
    elif isinstance(getattr(keras.layers, name, None), type) and of_keras and stated in (name, entry.get("file_class")):
        entry.update(module="keras.layers", registered_name=None)
    elif name in _GONE:
        raise ExportError(
            f"layer '{name_of(entry)}' is a {name}, which Keras 3 has no more and for which there is no translation"
        )
    elif module is not None and module.split(".")[0] == "keras" and ">" not in stated:
        entry.setdefault("registered_name", None)
    else:
        raise ExportError(
            f"it uses '{stated}', which is not registered, for layer '{name_of(entry)}'. Decorate the class with "
            "@keras.saving.register_keras_serializable() and import it before you load, or pass "
            f"custom_objects={{'{name}': the class}} (--import FILE.py on the command)"
        )


def _name_objects(entry: Entry, custom: dict[str, Any]) -> None:
    """Give initializers, regularizers, constraints and activations in a layer's config their modules."""
    config = entry["config"]
    for key in [key for key in _FUNCTIONS if isinstance(config, dict) and str(config.get(key)) in custom]:
        stated = str(config[key])
        config[key] = {"module": "builtins", "class_name": "function", "config": stated, "registered_name": stated}
    for key, value in config.items() if isinstance(config, dict) else ():
        if not is_entry(value) or str(value.get("module")).split(".")[0] == "keras":
            continue
        kind = key.rpartition("_")[2]
        if kind in _INITIALIZERS and hasattr(getattr(keras, f"{kind}s"), value["class_name"]):
            value.update(module=f"keras.{kind}s", registered_name=None)
        elif kind == "activation" and value["class_name"] != "function":
            to_native(value, custom)
