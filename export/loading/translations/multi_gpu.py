"""`multi_gpu_model` of Keras 2: a model around the model, which cuts each batch into a part for each GPU.

Its Lambda layers cut (`get_slice`, with arguments i and parts), the model within runs on each part, and Concatenate
layers join the parts along the batch. What it computes is what the model within does.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ..config_tree import Entry, is_model, name_of
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Let the model within run on the inputs themselves."""
    if not is_model(entry) or entry["class_name"] == "Sequential":
        return False
    config = entry["config"]
    kinds: dict[str, list[Entry]] = {}
    for layer in config["layers"]:
        kinds.setdefault("model" if is_model(layer) else layer["class_name"], []).append(layer)
    if set(kinds) != {"InputLayer", "Lambda", "model", "Concatenate"} or len(kinds["model"]) != 1:
        return False
    inputs, (inner,) = kinds["InputLayer"], kinds["model"]
    cut = all(_cuts(layer) for layer in kinds["Lambda"])
    if not cut or any(layer["config"].get("axis") != 0 for layer in kinds["Concatenate"]):
        return False
    name = name_of(inner)
    inner["inbound_nodes"] = [[[name_of(each), 0, 0, {}] for each in inputs]]
    config["layers"] = [*inputs, inner]
    config["output_layers"] = [[name, 1, number] for number in range(len(kinds["Concatenate"]))]
    return True


def _cuts(layer: Entry) -> bool:
    """Whether a Lambda layer is `get_slice`: its code, which is not run, has that name."""
    config: dict[str, Any] = layer["config"]
    function = config.get("function")
    code = function[0] if isinstance(function, list) and function else None
    if set(config.get("arguments") or {}) != {"i", "parts"} or not isinstance(code, str):
        return False
    try:
        return b"get_slice" in base64.b64decode(code)
    except (binascii.Error, ValueError):
        return False
