"""The weights in a .keras file of Keras 2: groups by class and number, as `layers/conv2d_1/vars/0`.

Keras 3 writes the same groups by the names of the layers, so each layer is found here by the class that the file gives
it and by how many of that class stand before it in its model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import h5py
import keras

from ..errors import ExportError
from ..model.keras_graph import own_weights
from .config_tree import Entry, is_entry, is_model, name_of
from .give_weights import has_summary
from .hdf5_weights import member

_Found = Iterator[tuple[Any, list[h5py.Dataset]]]
_Places = dict[str, list[str]]  # the groups of the layers by their names


def stored_variables(entry: Entry, layer: Any, file: h5py.File) -> _Found:
    """Each loaded layer that has weights of its own, and these in the file, in Keras' order.

    Raises:
        ExportError: If the file has no weights for a layer.
    """
    yield from _below(entry, layer, file, "", {})


def _below(entry: Entry, layer: Any, file: h5py.File, path: str, places: _Places) -> _Found:
    if "stands_for" in entry:
        inner = layer.get_layer(entry["stands_for"])
        yield inner, _own(file, path, len(own_weights(inner)), layer.name)
        return
    if str(entry.get("file_class")).startswith("CuDNN"):  # which has no cell
        layer = layer.cell
    count = 1 if has_summary(layer) else len(own_weights(layer))
    if count:
        yield layer, _own(file, path, count, layer.name)
    if is_model(entry):
        yield from _of_model(entry, layer, file, path, places)
        return
    group = file.get(path, {})
    for key in group:
        part = getattr(layer, key, None)
        inner = _entry_of(entry, key)
        if isinstance(part, keras.Layer):
            yield from _below(inner, part, file, f"{path}/{key}", places)
        elif isinstance(part, (list, tuple)) and key != "vars":
            parts = [each for each in part if isinstance(each, keras.Layer)]
            names = _numbered([type(each).__name__ for each in parts])
            for name, each in zip(names, parts, strict=True):
                yield from _below({"class_name": "", "config": {}}, each, file, f"{path}/{key}/{name}", places)


def _of_model(entry: Entry, model: Any, file: h5py.File, path: str, places: _Places) -> _Found:
    entries = [each for each in entry["config"]["layers"] if "file_class" in each]
    seen: Counter[str] = Counter()
    loaded = {each.name: each for each in model.layers}
    if entry["class_name"] == "Sequential":  # its input layer is not among its layers
        entries = [each for each in entries if each["class_name"] != "InputLayer"]
    for each in entries:
        shared = "shared_object_id" in each
        group = "" if shared else f"{path}/layers/{_next_name(each['file_class'], seen)}".lstrip("/")
        group = _place(each, group, places)
        layer = loaded.get(each["config"].get("name") or each.get("name"))
        if layer is not None:
            yield from _below(each, layer, file, group, places)


def _place(entry: Entry, group: str, places: _Places) -> str:
    """Where the weights of a layer are: those of a layer that several models share stand where it is first.

    It has a number from the second time on, when it counts for no group.
    """
    if "shared_object_id" not in entry:
        places.setdefault(name_of(entry), []).append(group)
        return group
    found = places.get(name_of(entry), [])
    if len(found) != 1:
        raise ExportError(
            f"layer '{name_of(entry)}' is shared by several models, and {len(found)} layers of this name stand before "
            "it, so the file does not say whose weights it has. Save the model as .h5 where it was written"
        )
    return found[0]


def _own(file: h5py.File, path: str, count: int, name: str) -> list[h5py.Dataset]:
    group = f"{path}/vars".lstrip("/")
    if group not in file or len(file[group]) != count:
        found = len(file[group]) if group in file else 0
        raise ExportError(f"layer '{name}' has {count} weights in Keras {keras.__version__}, and {found} in the file")
    return [member(file, f"{group}/{number}") for number in range(count)]


def _entry_of(entry: Entry, attribute: str) -> Entry:
    config = entry["config"]
    for key in (attribute, "layer"):
        inner: Entry | None = config.get(key) if isinstance(config, dict) else None
        if inner is not None and is_entry(inner):
            return inner
    return {"class_name": "", "config": {}}


def _numbered(classes: list[str]) -> list[str]:
    """The group of each layer, as in conv2d, conv2d_1."""
    seen: Counter[str] = Counter()
    return [_next_name(each, seen) for each in classes]


def _next_name(class_name: str, seen: Counter[str]) -> str:
    name = _snake(class_name.rpartition(">")[2])
    seen[name] += 1
    return f"{name}_{seen[name] - 1}" if seen[name] > 1 else name


def _snake(name: str) -> str:
    """A class name as tf_keras writes it in groups: Conv2DTranspose is conv2d_transpose."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
