"""Layer names with '/', which Keras 2 allowed (its own DenseNet has 'conv1/bn') and Keras 3 refuses."""

from __future__ import annotations

from typing import Any

from ..config_tree import Entry, is_model, name_of
from ..writer import Writer

RENAMED = "renamed"  # in the entry of a model: the names in the file of its layers, by the new ones


def apply(entry: Entry, writer: Writer) -> bool:
    """Write '_' for '/' in the names of the layers of one model, and wherever its calls name them."""
    config = entry["config"]
    if isinstance(config, dict) and "/" in str(config.get("name", "")):
        config["name"] = config["name"].replace("/", "_")  # a model by itself, or a layer in a wrapper
        found = True
    else:
        found = False
    if not is_model(entry):
        return found
    taken = {name_of(layer) for layer in config["layers"]}
    new: dict[str, str] = {}
    for name in sorted(taken):
        if "/" in name:
            plain = name.replace("/", "_")
            while plain in taken:
                plain += "_"
            taken.add(plain)
            new[name] = plain
    if not new:
        return found
    entry[RENAMED] = {plain: name for name, plain in new.items()}
    for layer in config["layers"]:
        inner = layer["config"]
        if isinstance(inner, dict) and inner.get("name") in new:
            inner["name"] = new[inner["name"]]
        if layer.get("name") in new:
            layer["name"] = new[layer["name"]]
        layer["inbound_nodes"] = _renamed(layer.get("inbound_nodes", []), new)
    for key in ("input_layers", "output_layers"):
        if key in config:
            config[key] = _renamed(config[key], new)
    return True


def _renamed(node: Any, new: dict[str, str]) -> Any:
    """References to layers, [name, call, output] within any structure, with the new names."""
    if isinstance(node, dict):
        return {key: _renamed(value, new) for key, value in node.items()}
    if not isinstance(node, list):
        return node
    rest = [_renamed(item, new) for item in node]
    if len(node) in (3, 4) and isinstance(node[0], str):
        rest[0] = new.get(node[0], node[0])
    return rest
