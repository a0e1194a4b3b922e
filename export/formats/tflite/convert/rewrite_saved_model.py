"""TensorFlow operations that the converter leaves to TensorFlow's own kernels, in others that it has a form for.

Carried out in the SavedModel, and only after the converter has refused it, so that no other file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import function_pb2
from tensorflow.core.framework.node_def_pb2 import NodeDef as Node
from tensorflow.core.protobuf import saved_model_pb2

# Changes a node, given its constant inputs but the first, and returns those to put in front of it; None to leave it.
Rewrite = Callable[[Node, list[np.ndarray]], list[Node] | None]


def rewritten(saved_model: Path, rewrites: Mapping[str, Rewrite]) -> bool:
    """Rewrite the nodes of a SavedModel by the kind of their operation; False if there was nothing to do."""
    path = saved_model / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    functions = [function for meta in saved.meta_graphs for function in meta.graph_def.library.function]
    if not sum([_rewrite(function, rewrites) for function in functions]):
        return False
    path.write_bytes(saved.SerializeToString(deterministic=True))
    return True


def _rewrite(function: function_pb2.FunctionDef, rewrites: Mapping[str, Rewrite]) -> int:
    known = {node.name: node for node in function.node_def if node.op == "Const"}
    found = 0
    for node in [node for node in function.node_def if node.op in rewrites]:
        names = [name.partition(":")[0] for name in node.input[1:] if not name.startswith("^")]
        if all(name in known for name in names):
            made = rewrites[node.op](node, [tf.make_ndarray(known[name].attr["value"].tensor) for name in names])
            function.node_def.extend(made or ())
            found += made is not None
    return found


def constant(name: str, values: np.ndarray) -> Node:
    """A node that holds `values`."""
    node = Node(name=name, op="Const")
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
    node.attr["dtype"].type = node.attr["value"].tensor.dtype
    return node
