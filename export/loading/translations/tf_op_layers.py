"""Operations of TensorFlow in a functional model (`x * 2`, `x[:, 1:3]`) as TensorFlow 2.0 to 2.3 wrote them.

Later versions wrote the function that was called (`tf_functions.py`); these wrote the node of the graph that the call
made, and those of its inputs that were constants.
"""

from __future__ import annotations

from typing import Any

from ...errors import ExportError
from ..config_tree import Entry
from ..protobuf_wire import all_of, last_of, message_of, text_of
from ..tf_function_table import FUNCTIONS, OPERATIONS
from ..writer import Writer

_REDUCE = ("Mean", "Sum", "Max", "Min")
_CONSTANT = "_CONSTANT_VALUE"
_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
_BEGIN, _END, _ELLIPSIS, _NEW, _SHRINK = range(5)


def apply(entry: Entry, writer: Writer) -> bool:
    """Make such a layer the operation of keras.ops that computes the same."""
    if entry["class_name"] != "TensorFlowOpLayer":
        return False
    config, name, calls = entry["config"], entry.get("name", entry["config"]["name"]), entry.get("inbound_nodes", [])
    operation, attributes = _node(config["node_def"])
    if len(calls) != 1 or (operation not in OPERATIONS and operation != "StridedSlice"):
        raise ExportError(f"layer '{name}' is TensorFlow's {operation}, for which there is no translation to Keras 3")
    given: list[Any] = [tensor[:3] for tensor in calls[0]]
    for index, value in sorted((int(index), value) for index, value in (config.get("constants") or {}).items()):
        given.insert(index, [_CONSTANT, -1, value])
    if operation == "StridedSlice":
        entry.update(class_name="GetItem", module="keras.src.ops.numpy", config={"name": name})
        entry["inbound_nodes"] = [[*given[0], {"key": _key(given[1:], attributes, name)}]]
        return True
    row = FUNCTIONS[OPERATIONS[operation]]
    tensors, options = _split(operation, given, attributes, name)
    entry.update(class_name=row.name, module=row.module)
    entry["config"] = {"name": name, **{row.options[key]: value for key, value in options.items()}}
    if row.argument:
        entry["inbound_nodes"] = [[*tensors[0], {row.argument: tensors[1]}]]
    else:
        entry["inbound_nodes"] = [[[*tensor, {}] for tensor in tensors]]
    return True


def _split(operation: str, given: list[Any], attributes: dict[str, Any], name: str) -> tuple[list[Any], dict[str, Any]]:
    """The tensors of an operation, and its options by their names in the function of TensorFlow."""
    if operation in _REDUCE:
        return given[:1], {"axis": _value(given[1], name), "keepdims": bool(attributes.get("keep_dims", False))}
    if operation == "ConcatV2":
        return given[:-1], {"axis": _value(given[-1], name)}
    if operation == "Pack":
        return given, {"axis": int(attributes.get("axis", 0))}
    if operation in ("ExpandDims", "Reshape", "Transpose"):
        key = {"ExpandDims": "axis", "Reshape": "shape", "Transpose": "perm"}[operation]
        return given[:1], {key: _value(given[1], name)}
    if operation == "Squeeze":
        return given[:1], {"axis": [int(axis) for axis in attributes.get("squeeze_dims", [])] or None}
    if operation == "Softmax":
        return given[:1], {"axis": -1}
    return given, {}


def _value(given: Any, name: str) -> Any:
    if given[0] != _CONSTANT:
        raise ExportError(
            f"layer '{name}' takes a shape or an axis that is computed, for which there is no translation"
        )
    return given[2]


def _key(given: list[Any], attributes: dict[str, Any], name: str) -> list[Any]:
    """What stands between the brackets: begins, ends, strides, and a bit for each place in each mask."""
    begin, end, strides = (_value(each, name) for each in given)
    masks = [int(attributes.get(mask, 0)) for mask in _MASKS]
    key: list[Any] = []
    for place in range(len(begin)):
        says = [bool(mask >> place & 1) for mask in masks]
        if says[_ELLIPSIS]:
            key.append({"class_name": "__ellipsis__", "config": {}})
        elif says[_NEW]:
            key.append(None)
        elif says[_SHRINK]:
            key.append(begin[place])
        else:
            start, stop = (None if says[_BEGIN] else begin[place]), (None if says[_END] else end[place])
            key.append({"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": strides[place]}})
    return key


def _node(definition: Any) -> tuple[str, dict[str, Any]]:
    """The operation of a node and its attributes, from JSON or from the bytes of the message as text."""
    if isinstance(definition, str):
        data = memoryview(definition.encode())
        values = {text_of(each, 1): message_of(each, 2) for each in all_of(data, 5)}
        found = {key: _attribute(value) for key, value in values.items()}
        return text_of(data, 2), found
    attributes = definition.get("attr", {})
    return definition["op"], {key: _plain(value) for key, value in attributes.items()}


def _attribute(value: memoryview) -> Any:
    if all_of(value, 1):
        packed = all_of(message_of(value, 1), 3)
        return [number for each in packed for number in (each if isinstance(each, memoryview) else [each])]
    return last_of(value, 3, last_of(value, 5))


def _plain(value: dict[str, Any]) -> Any:
    if "list" in value:
        return value["list"].get("i", [])
    return value.get("i", value.get("b"))
