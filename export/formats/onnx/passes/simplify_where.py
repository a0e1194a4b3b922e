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

from .ir_utils import (
    array_of,
    constant,
    graph_of,
    input_of,
    insert,
    integer,
    made_by,
    new_constant,
    number,
    replace,
    scalar,
    static,
    with_constant,
)
from .pass_types import PassOptions
from .skips import skip

_FAR = 1e30  # float32 has 24 bits: nothing below 3e22 changes such a number


def simplify_where(model: ir.Model, _options: PassOptions) -> None:
    for node in list(model.graph):
        if node.op_type in ("And", "Or") and node.inputs[0] is node.inputs[1]:
            replace(node.outputs[0], input_of(node, 0))
        elif node.op_type == "And":
            _drop_ones(node)
        elif node.op_type == "Gather":
            _count_from_the_end(node)
    for node in [node for node in model.graph if node.op_type == "Where"]:
        _mask_by_adding(node)


def _count_from_the_end(node: ir.Node) -> None:
    where = made_by(node.inputs[1], "Where")
    less = made_by(where.inputs[0], "Less") if where is not None else None
    moved = with_constant(made_by(where.inputs[1], "Add")) if where is not None else None
    if where is None or less is None or moved is None or moved[0] is not where.inputs[2]:
        return
    cast = made_by(less.inputs[0], "Cast")
    tested = cast.inputs[0] if cast is not None else less.inputs[0]
    sizes, axis = static(node.inputs[0]), integer(node, "axis", 0)
    if tested is not moved[0] or scalar(less.inputs[1]) != 0:
        skip(node, "its index is chosen by something else than its sign")
    elif sizes and moved[1].size == 1 and int(number(moved[1])) == sizes[axis]:
        node.replace_input_with(1, moved[0])
    else:
        skip(node, "what is added to a negative index is not the length of the table")


def _drop_ones(node: ir.Node) -> None:
    """A mask spread over the shape of what it is to choose from."""
    for ones, mask in (node.inputs, node.inputs[::-1]):
        expand = made_by(ones, "Expand")
        shape = made_by(expand.inputs[1], "Shape") if expand is not None else None
        whole = constant(expand.inputs[0]) if expand is not None else None
        if mask is None or shape is None or whole is None or not whole.all() or shape.attributes:
            continue
        users = [use.node for use in node.outputs[0].uses()]
        chosen = shape.inputs[0]
        choose = all(user.op_type == "Where" and any(x is chosen for x in user.inputs[1:]) for user in users)
        if choose and not node.outputs[0].is_graph_output():
            replace(node.outputs[0], mask)
            return
    skip(node, "neither side is True as large as what is chosen from")


def _mask_by_adding(node: ir.Node) -> None:
    condition, x, other = (input_of(node, i) for i in range(3))
    far, small, large = constant(other), static(condition), static(x)
    if far is None or far.size != 1 or far.dtype != np.float32 or not _FAR <= abs(number(far)) < math.inf:
        skip(node, "the other choice is no constant that x is small beside")
        return
    if small is None or large is None or len(small) > len(large) or constant(x) is not None:
        skip(node, "the sizes of the mask or of x are not known, or x is a constant")
        return
    padded = (1,) * (len(large) - len(small)) + small
    if all(a == b for a, b in zip(padded, large, strict=True)) or static(node.outputs[0]) != large:
        skip(node, "the mask is as large as x, or larger")
        return
    graph = graph_of(node)
    zero, most = (new_constant(graph, np.float32(n), f"{node.name}/number") for n in (0, number(array_of(other))))
    mask = insert(node, "Where", [condition, zero, most], f"{node.name}/mask", condition.shape)
    mask.type = x.type
    replace(node.outputs[0], insert(node, "Add", [x, mask], str(node.name), node.outputs[0].shape))
