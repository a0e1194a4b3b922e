"""Functions of TensorFlow in a functional model (`x * 2`, `x[:, 1:3]`, `tf.concat`), which Keras 2 wrote as layers."""

from __future__ import annotations

from typing import Any

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..inbound import as_array, is_numbers
from ..tf_function_table import FUNCTIONS, SLICE, Operation
from ..writer import Writer

# Defaults of TensorFlow that are others than those of the operation in Keras 3, or that it has not.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "nn.softmax": {"axis": -1},
    "nn.leaky_relu": {"negative_slope": 0.2},
    "nn.gelu": {"approximate": False},
    "math.l2_normalize": {"order": 2, "epsilon": 1e-6},  # of the norm; TensorFlow's 1e-12 is of its square
}


def apply(entry: Entry, writer: Writer) -> bool:
    """Make such a layer the operation of keras.ops that computes the same."""
    kind = entry["class_name"]
    if kind not in ("TFOpLambda", "SlicingOpLambda"):
        return False
    function, name = entry["config"].get("function"), name_of(entry)
    calls = entry.get("inbound_nodes", [])
    if kind == "SlicingOpLambda" and function == SLICE:
        entry.update(class_name="GetItem", module="keras.src.ops.numpy", config={"name": name})
        entry["inbound_nodes"] = [_with_kwargs(call, lambda kwargs: _slice(kwargs, name)) for call in calls]
        return True
    if function not in FUNCTIONS:
        raise ExportError(f"layer '{name}' calls tf.{function}, for which there is no translation to Keras 3")
    row = FUNCTIONS[function]
    if function == "math.l2_normalize" and any(_given(call).get("axis") is None for call in calls):
        raise ExportError(f"layer '{name}' calls tf.{function} over all axes, for which there is no translation")
    options = dict(_DEFAULTS.get(function, {}))
    if len(calls) > 1:
        raise ExportError(f"layer '{name}' calls tf.{function} more than once, for which there is no translation")
    entry["inbound_nodes"] = [
        _with_kwargs(call, lambda kwargs: _arguments(kwargs, row, options, name)) for call in calls
    ]
    entry.update(class_name=row.name, module=row.module, config={"name": name, **options})
    return True


def _given(call: Any) -> dict[str, Any]:
    """The arguments of a call beside its first tensor."""
    found: list[dict[str, Any]] = []
    _with_kwargs(call, found.append)
    return found[0] if found else {}


def _with_kwargs(call: Any, change: Any) -> Any:
    """A call with its other arguments changed: they stand in the fourth place of its first tensor."""
    if isinstance(call, list) and len(call) == 4 and isinstance(call[0], str):
        return [*call[:3], change(call[3])]
    if isinstance(call, list):
        return [_with_kwargs(part, change) for part in call]
    return call


def _arguments(kwargs: dict[str, Any], row: Operation, options: dict[str, Any], name: str) -> dict[str, Any]:
    found = {}
    for key, value in kwargs.items():
        if key in ("y", "b") and row.argument:
            found[row.argument] = as_array(value) if is_numbers(value) else value
        elif key in row.options:
            options[row.options[key]] = value
        elif key != "name" and value not in (None, False):
            raise ExportError(f"layer '{name}' calls a function of TensorFlow with {key}={value!r}, which has no row")
    return found


def _slice(kwargs: dict[str, Any], name: str) -> dict[str, Any]:
    key = kwargs.get("slice_spec")
    parts = key if isinstance(key, list) else [key]
    made = [_part(part, name) for part in parts]
    return {"key": made if isinstance(key, list) else made[0]}


def _part(part: Any, name: str) -> Any:
    if isinstance(part, dict) and {"start", "stop", "step"} <= part.keys():
        return {"class_name": "__slice__", "config": {key: part[key] for key in ("start", "stop", "step")}}
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    if part is None or (isinstance(part, int) and not isinstance(part, bool)):
        return part
    raise ExportError(f"layer '{name}' slices by {part!r}, for which there is no translation to Keras 3")
