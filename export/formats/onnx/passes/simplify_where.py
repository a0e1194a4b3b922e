"""Choices by a condition, as Keras writes them for masks and lookups, in fewer operations.

Gather(w, Where(i < 0, i + n, i))       ->  Gather(w, i), which counts from the end by itself
Where(c, x, -1e30)                      ->  x + Where(c, 0, -1e30), where c is smaller than x: that is exact, for x is
                                            far below half a unit in the last place of such a number
Where(And(True as large as x, c), x, y) ->  Where(c, x, y)
Or(c, c), And(c, c)                     ->  c
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from .ir_utils import constant, insert, made_by, new_constant, replace, scalar, static, with_constant

_FAR = 1e30  # float32 has 24 bits: nothing below 3e22 changes such a number


def leaner_choices(graph: ir.Graph) -> None:
    for node in list(graph):
        if node.op_type in ("And", "Or") and node.inputs[0] is node.inputs[1]:
            replace(node.outputs[0], node.inputs[0])  # type: ignore[arg-type]
        elif node.op_type == "And":
            _drop_ones(node)
        elif node.op_type == "Gather":
            _count_from_the_end(node)
    for node in [node for node in graph if node.op_type == "Where"]:
        _mask_by_adding(graph, node)


def _count_from_the_end(node: ir.Node) -> None:
    table, where = node.inputs[0], made_by(node.inputs[1], "Where")
    add = made_by(where.inputs[1], "Add") if where is not None else None
    moved = with_constant(add) if add is not None else None
    less = made_by(where.inputs[0], "Less") if where is not None else None
    if moved is None or less is None or moved[0] is not where.inputs[2] or scalar(less.inputs[1]) != 0:  # type: ignore[union-attr]
        return
    cast = made_by(less.inputs[0], "Cast")
    tested = cast.inputs[0] if cast is not None else less.inputs[0]
    sizes = static(table) if table is not None else None
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    if tested is moved[0] and sizes and moved[1].size == 1 and int(moved[1].reshape(())) == sizes[axis]:
        node.replace_input_with(1, moved[0])


def _drop_ones(node: ir.Node) -> None:
    """A mask spread over the shape of what it is to choose from."""
    for ones, mask in (node.inputs, node.inputs[::-1]):
        expand = made_by(ones, "Expand")
        shape = made_by(expand.inputs[1], "Shape") if expand is not None else None
        whole = constant(expand.inputs[0]) if expand is not None else None
        if shape is None or whole is None or not whole.all() or shape.attributes or node.outputs[0].is_graph_output():
            continue
        users = [use.node for use in node.outputs[0].uses()]
        chosen = shape.inputs[0]
        if all(user.op_type == "Where" and any(x is chosen for x in user.inputs[1:]) for user in users):
            replace(node.outputs[0], mask)  # type: ignore[arg-type]
            return


def _mask_by_adding(graph: ir.Graph, node: ir.Node) -> None:
    condition, x, other = node.inputs
    far, small, large = constant(other), static(condition), static(x)  # type: ignore[arg-type]
    if far is None or far.size != 1 or far.dtype != np.float32 or not _FAR <= abs(float(far.reshape(()))) < math.inf:
        return
    if small is None or large is None or len(small) > len(large) or constant(x) is not None:
        return
    padded = (1,) * (len(large) - len(small)) + small
    if all(a == b for a, b in zip(padded, large, strict=True)) or static(node.outputs[0]) != large:
        return
    zero, number = (new_constant(graph, np.float32(n), f"{node.name}/number") for n in (0, far.reshape(())))
    mask = insert(node, "Where", [condition, zero, number], f"{node.name}/mask", condition.shape)  # type: ignore[union-attr]
    mask.type = x.type  # type: ignore[union-attr]
    replace(node.outputs[0], insert(node, "Add", [x, mask], str(node.name), node.outputs[0].shape))
