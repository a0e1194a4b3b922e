"""Transpose and Reshape of a constant, and its product with a number, done once and for all.

Only weights that were set aside on the way through the converter still need it: the converter folds the others.
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import constant, graph_of, integer_list, integers, new_constant, replace
from .pass_types import PassOptions
from .skips import skip


def fold_weights(model: ir.Model, _options: PassOptions) -> None:
    """Do to constants at once what the graph would do to them."""
    for node in [node for node in model.graph if node.op_type in ("Transpose", "Reshape", "Mul")]:
        array = constant(node.inputs[0])
        if array is None:
            continue
        if node.op_type == "Mul":
            number = constant(node.inputs[1])
            if number is None or number.ndim or array.dtype != number.dtype:
                continue
            folded = array * number
        elif node.op_type == "Transpose":
            folded = array.transpose(integer_list(node, "perm") or None)
        else:
            target = integers(node.inputs[1])
            if target is None or 0 in target:
                skip(node, "its target is computed, or has a size of 0")
                continue
            folded = array.reshape(target)
        replace(node.outputs[0], new_constant(graph_of(node), folded, str(node.name)))
