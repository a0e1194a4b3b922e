"""A Transpose that only moves axes of one element is a Reshape."""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import graph_of, insert, integer_list, new_integers, replace, static
from .pass_types import PassOptions
from .skips import skip


def transpose_as_reshape(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Transpose"]:
        shape, perm = static(node.inputs[0]), integer_list(node, "perm")
        if shape is None or not perm:
            continue
        if (long := [axis for axis in perm if shape[axis] != 1]) != sorted(long):
            skip(node, "it moves axes of more than one element")
            continue
        target = [0 if axis == i and shape[i] is None else shape[axis] for i, axis in enumerate(perm)]
        if target.count(None) > 1:
            skip(node, "two free sizes move")
            continue
        to = new_integers(graph_of(node), [-1 if n is None else n for n in target], f"{node.name}/shape")
        y = insert(node, "Reshape", [node.inputs[0], to], str(node.name), node.outputs[0].shape)
        replace(node.outputs[0], y)
