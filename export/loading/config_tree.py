"""A model's config as JSON: where the layers stand in it, and the names that they have.

An entry is the dict of one layer: `class_name`, `config`, and in a functional model `name` and `inbound_nodes`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import ExportError

Entry = dict[str, Any]

MODELS = ("Functional", "Model", "Sequential")
EXTENDS = "extends"  # in an entry: the class of Keras that a class of the user's extends
# The keys of a layer's config below which other layers stand.
_BELOW = ("layers", "layer", "backward_layer", "cell", "cells")


def decode(text: str | bytes) -> Any:
    """The config in a JSON text, with tuples, shapes and NumPy numbers as plain lists and numbers.

    Nothing of the text is lost: what is checked here is all that another reader of the same text can find in it.

    Raises:
        ExportError: If a key stands twice in an object: readers differ in which of them they take.
    """
    plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    return json.loads(plain, object_pairs_hook=_plain)


def _plain(pairs: list[tuple[str, Any]]) -> Any:
    node = dict(pairs)
    if len(node) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ExportError(
            f"its config has the key '{twice[:80]}' twice in one object, so it does not say what is meant"
        )
    if node.keys() == {"class_name", "items"} and node["class_name"] in ("__tuple__", "TensorShape"):
        return node["items"]
    return node["value"] if node.keys() == {"type", "value"} and node["type"] == "ndarray" else node


def is_entry(node: Any) -> bool:
    """Whether a value of a config describes an object: a layer, an initializer, a function."""
    return isinstance(node, dict) and isinstance(node.get("class_name"), str) and "config" in node


def entries_in(entry: Entry) -> list[Entry]:
    """The layers that the config of a layer holds itself."""
    config = entry["config"]
    if isinstance(config, list):
        return [node for node in config if is_entry(node)]
    found: list[Entry] = []
    for key in _BELOW if isinstance(config, dict) else ():
        value = config.get(key)
        found += [node for node in (value if isinstance(value, list) else [value]) if is_entry(node)]
    return found


def walk(entry: Entry) -> Iterator[Entry]:
    """A layer and all layers below it, each before those that it holds."""
    yield entry
    for below in entries_in(entry):
        yield from walk(below)


def name_of(entry: Entry) -> str:
    """The name of a layer, or its class where the file gives no name."""
    config = entry["config"]
    name = config.get("name") if isinstance(config, dict) else None
    return str(name or entry.get("name") or entry["class_name"])


def stock_class(entry: Entry) -> str:
    """The class of Keras that a layer is: its own, or for a class of the user's the one that it extends."""
    return str(entry.get(EXTENDS) or entry["class_name"])


def is_model(entry: Entry) -> bool:
    """Whether an entry is a model with layers of its own."""
    config = entry["config"]
    return entry["class_name"] in MODELS and isinstance(config, dict) and isinstance(config.get("layers"), list)
