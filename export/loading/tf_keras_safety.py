"""What in a config could make tf_keras run code or read other files: such a file is not given to it.

Its loader of .h5 files knows no safe mode: it runs marshalled code, and calls any function of TensorFlow by name.
"""

from __future__ import annotations

from typing import Any

from .tf_function_table import FUNCTIONS, OPERATIONS, SLICE

# Layers of tf_keras that call a function which the file names, or run a graph that it holds.
_CALLERS = (
    "Lambda",
    "TFOpLambda",
    "SlicingOpLambda",
    "TensorFlowOpLayer",
    "ClassMethod",
    "InstanceMethod",
    "InstanceProperty",
)
_LAMBDA = ("Lambda", "__lambda__")
_OWN_MODULES = ("keras", "tf_keras", "builtins", "None")


def what_runs_code(config: Any, unsafe: bool = False) -> str | None:
    """In a word, the first thing that is not given to tf_keras; None if there is none.

    With `unsafe`, the user's word, Lambda layers are given to it.
    """
    stack = [config]
    while stack:
        node = stack.pop()
        if isinstance(node, (list, tuple)):
            stack += node
        if not isinstance(node, dict):
            continue
        if "__passive_serialization__" in node:  # an object that some readers make as they read the text
            return "a __passive_serialization__"
        name = str(node.get("class_name", ""))
        if (
            (name in _CALLERS or name.startswith("__"))
            and name != "__ellipsis__"
            and not (_harmless(node) or (unsafe and name in _LAMBDA))
        ):
            return f"a {name}"
        if "class_name" in node and str(node.get("module")).split(".")[0] not in _OWN_MODULES:
            return f"the module '{node['module']}'"
        if isinstance(node.get("vocabulary"), str):
            return "the path of a vocabulary"
        stack += node.values()
    return None


def _harmless(node: dict[str, Any]) -> bool:
    """Whether a layer calls one of the functions of TensorFlow that are translated."""
    config = node.get("config")
    if node["class_name"] == "TensorFlowOpLayer" and isinstance(config, dict) and isinstance(config["node_def"], dict):
        return config["node_def"].get("op") in (*OPERATIONS, "StridedSlice")
    function = config.get("function") if isinstance(config, dict) else None
    allowed = {"TFOpLambda": FUNCTIONS, "SlicingOpLambda": (SLICE,)}.get(str(node["class_name"]), ())
    return isinstance(function, str) and function in allowed
