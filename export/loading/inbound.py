"""The calls of a functional model of Keras 1 and 2, in the form in which Keras 3 states them.

Keras 2 writes [layer, call, output, arguments] for each tensor; Keras 3 writes the arguments of the call with tensors
in their places. The calls of a nested model count from 1 in Keras 2, where its own graph was call 0, and from 0 in
Keras 3, except that Keras 3 counts from 1 where a nested Functional makes an output.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import ExportError
from .config_tree import Entry, is_model

_CONSTANT = "_CONSTANT_VALUE"
_TAKE_STATES = re.compile(r"(LSTM|GRU|SimpleRNN|RNN|ConvLSTM\dD|Bidirectional)")
_TAKE_LISTS = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")


def translate_calls(model: Entry) -> None:
    """Rewrite the calls, inputs and outputs of one functional model; one that Keras 3 wrote stays."""
    config = model["config"]
    layers: dict[str, Entry] = {layer["name"]: layer for layer in config["layers"]}
    first = {name: _first_call(model, layer) for name, layer in layers.items()}
    for layer in config["layers"]:
        calls = layer.get("inbound_nodes", [])
        layer["inbound_nodes"] = [_call(node, first, layer["class_name"]) for node in calls]
        _check_training(layer)
    for key in ("input_layers", "output_layers"):
        config[key] = _ends(config[key], layers, first)


def _check_training(layer: Entry) -> None:
    """Refuse a call that keeps to training in inference: Keras 3 makes inference of it, and computes something else."""
    if any(call["kwargs"].get("training") is True for call in layer["inbound_nodes"]):
        raise ExportError(
            f"layer '{layer['name']}' is called with training=True: it drops out, or takes its batch's statistics, "
            "in inference too, and Keras 3 does not. Build the model without it, load the weights and save it again"
        )


def _call(node: Any, first: dict[str, int], class_name: str) -> Any:
    if isinstance(node, dict) and "args" in node and "kwargs" in node:
        return node
    class_name = class_name.removesuffix("OfKeras2")  # the registered layers, which take what the stock ones take
    tensors, kwargs = _tensors(node, first)
    if isinstance(tensors, list) and len(tensors) == 1 and class_name not in _TAKE_LISTS:
        tensors = tensors[0]
    if _TAKE_STATES.fullmatch(class_name):  # what Keras 2 put into the list of tensors, or left out
        kwargs = {key: value for key, value in kwargs.items() if value is not None}
    if isinstance(tensors, list) and _TAKE_STATES.fullmatch(class_name):
        return {"args": tensors[:1], "kwargs": {**_arguments(kwargs, first), "initial_state": tensors[1:]}}
    return {"args": [tensors], "kwargs": _arguments(kwargs, first)}


def _arguments(kwargs: dict[str, Any], first: dict[str, int]) -> dict[str, Any]:
    return {key: _argument(value, first) for key, value in kwargs.items()}


def _tensors(node: Any, first: dict[str, int]) -> tuple[Any, dict[str, Any]]:
    """The tensors of the first argument in their structure, and the other arguments."""
    if _is_tensor(node, first):
        return _argument(node[:3], first), node[3] if len(node) > 3 else {}
    if isinstance(node, dict):
        parts = {key: _tensors(value, first) for key, value in node.items()}
        found: Any = {key: part[0] for key, part in parts.items()}
        return found, next(iter(part[1] for part in parts.values()), {})
    if is_numbers(node):
        return as_array(node), {}
    parts_list = [_tensors(value, first) for value in node]
    kwargs = next((part[1] for part in parts_list if part[1]), {})
    return [part[0] for part in parts_list], kwargs


def _is_tensor(node: Any, first: dict[str, int]) -> bool:
    return (
        isinstance(node, list)
        and len(node) in (3, 4)
        and isinstance(node[0], str)
        and (node[0] in first or node[0] == _CONSTANT)
        and isinstance(node[1], int)
    )


def _argument(value: Any, first: dict[str, int]) -> Any:
    """One argument of a call: tensors in it by the layer that made them, everything else as it stands."""
    if _is_tensor(value, first):
        layer, call, output = value[:3]
        if layer == _CONSTANT:
            return as_array(output)
        history = [layer, call - first[layer], output]
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": [None], "dtype": "float32", "keras_history": history},
        }
    if isinstance(value, list):
        return [_argument(item, first) for item in value]
    if isinstance(value, dict):
        return {key: _argument(item, first) for key, item in value.items()}
    return value


def as_array(value: Any) -> Any:
    """A constant as Keras 3 writes one: numbers in lists are an array, one number is itself."""
    if not isinstance(value, list):
        return value
    kinds = {kind for kind in (bool, int, float) if _holds(value, kind)}
    dtype = "float32" if float in kinds else "int32" if int in kinds else "bool"
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}


def is_numbers(value: Any) -> bool:
    """Whether a list holds nothing but numbers: the reference of a tensor begins with a name."""
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(is_numbers(each) or isinstance(each, (int, float)) for each in value)
    )


def _holds(value: Any, kind: type) -> bool:
    return any(_holds(part, kind) for part in value) if isinstance(value, list) else type(value) is kind


def _first_call(model: Entry, layer: Entry) -> int:
    """The number that Keras 2 gave to the first call of a layer: 1 for most nested models, or 0."""
    if not is_model(layer):
        return 0
    used = list(_numbers(model, layer["name"]))
    if not used or 0 in used:
        return 0
    return 1 if max(used) >= len(layer.get("inbound_nodes", [])) or layer["class_name"] != "Sequential" else 0


def _numbers(model: Entry, name: str) -> list[int]:
    found: list[int] = []
    stack: list[Any] = [model["config"][key] for key in ("input_layers", "output_layers")]
    stack += [layer.get("inbound_nodes", []) for layer in model["config"]["layers"]]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            if len(node) in (3, 4) and node[0] == name and isinstance(node[1], int):
                found.append(node[1])
            stack += node
        elif isinstance(node, dict):
            stack += node.values()
    return found


def _ends(node: Any, layers: dict[str, Entry], first: dict[str, int]) -> Any:
    """Inputs or outputs of a model; lists of one are opened, as Keras 2 does when it returns them."""
    if isinstance(node, list) and len(node) == 3 and isinstance(node[0], str) and isinstance(node[1], int):
        nested = is_model(layers[node[0]]) and layers[node[0]]["class_name"] != "Sequential"
        return [node[0], node[1] - first[node[0]] + nested, node[2]]
    if isinstance(node, dict):
        return {key: _ends(value, layers, first) for key, value in node.items()}
    ends = [_ends(value, layers, first) for value in node]
    return ends[0] if len(ends) == 1 else ends
