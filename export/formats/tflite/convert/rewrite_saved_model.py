"""Rewrite TensorFlow operations that the converter has no builtin form for into operations that it has one for.

The SavedModel is rewritten, and only after the converter has refused it: a file that converts as it is does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf import saved_model_pb2

from ...rewrite_log import logged, note_skip

# Changes a node in place, given the values of all its inputs but the first, which must be constants; returns the nodes
# that compute its new inputs, or None if it leaves the node alone.
Rewrite = Callable[[NodeDef, list[np.ndarray]], list[NodeDef] | None]


def rewritten(saved_model: Path, rewrites: Mapping[str, Rewrite]) -> bool:
    """Rewrite the nodes of a SavedModel, each by the rewrite of its operation; False if no node was rewritten."""
    path = saved_model / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    functions = [function for meta in saved.meta_graphs for function in meta.graph_def.library.function]
    with logged("rewrite_saved_model", lambda: sum(len(function.node_def) for function in functions)):
        count = sum([rewrite_function(function, rewrites) for function in functions])
    if not count:
        return False
    path.write_bytes(saved.SerializeToString(deterministic=True))
    return True


def rewrite_function(function: function_pb2.FunctionDef, rewrites: Mapping[str, Rewrite]) -> int:
    """Rewrite the nodes of one function; return how many."""
    known = {node.name: node for node in function.node_def if node.op == "Const"}
    count = 0
    for node in [node for node in function.node_def if node.op in rewrites]:
        names = [name.partition(":")[0] for name in node.input[1:] if not name.startswith("^")]
        if not all(name in known for name in names):
            note_skip(node.op, node.name, "one of its inputs behind the first is computed")
            continue
        made = rewrites[node.op](node, [tf.make_ndarray(known[name].attr["value"].tensor) for name in names])
        function.node_def.extend(made or ())
        count += made is not None
    return count


def constant(name: str, values: np.ndarray) -> NodeDef:
    """A constant node that holds `values`."""
    node = NodeDef(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node
