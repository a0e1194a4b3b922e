"""Input shapes of Keras 1 and 2: `batch_input_shape` in any layer, and what an InputLayer says beside its shape."""

from __future__ import annotations

from typing import Any

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Let an InputLayer state its shape as Keras 3 does, and a Sequential begin with one."""
    config = entry["config"]
    if entry["class_name"] == "InputLayer":
        return _input_layer(entry, config)
    if entry["class_name"] == "Sequential" and config["layers"]:
        return _sequential(config["layers"])
    return config.pop("batch_input_shape", None) is not None if isinstance(config, dict) else False


def _input_layer(entry: Entry, config: dict[str, Any]) -> bool:
    for kind in ("ragged", "sparse"):
        if config.get(kind):
            raise ExportError(f"input '{name_of(entry)}' is {kind}, which no exported file can take")
    config.pop("ragged", None)
    config.pop("optional", None)
    if "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
        return True
    return False


def _sequential(layers: list[Any]) -> bool:
    first = layers[0]
    config = first["config"]
    shape = config.get("batch_input_shape") if isinstance(config, dict) else None
    if first["class_name"] == "InputLayer" or shape is None:
        return False
    name = f"{name_of(first)}_input"
    dtype = "int32" if first["class_name"] == "Embedding" else config.get("dtype", "float32")
    dtype = dtype if isinstance(dtype, str) and dtype.startswith(("float", "int", "uint", "bool")) else "float32"
    layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype, "name": name}})
    return True
