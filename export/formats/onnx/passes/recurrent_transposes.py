"""Transposes around recurrent operators, which want time first where Keras has the batch first.

both directions:  Concat(Transpose(Y[:, 0]), Transpose(Y[:, 1]))  ->  Reshape(Transpose(Y))
merged axes:      Transpose(Reshape(Transpose(x)))                ->  Reshape(Transpose(x)), if the Reshape only merges
                                                                      the last axes and these stay together
Transpose(Transpose(x))                                           ->  Transpose(x), or x
"""

from __future__ import annotations

import math

import onnx_ir as ir

from .ir_utils import (
    graph_of,
    has_input,
    input_of,
    insert,
    integer,
    integer_list,
    integers,
    made_by,
    new_integers,
    only_use,
    permuted,
    reduced_axes,
    replace,
    set_integers,
    static,
    text,
)
from .pass_types import PassOptions
from .skips import skip
from .symbolic_shapes import evaluate, sizes

_RECURRENT = ("GRU", "LSTM", "RNN")
_SWAP, _STEPS = [1, 0, 2], 3
_BOTH = [2, 0, 1, 3]  # [time, directions, batch, units] -> [batch, time, directions, units]


def reverse_as_direction(model: ir.Model, _options: PassOptions) -> None:
    """A recurrent operator on reversed steps, whose results are reversed again, as one that runs backwards."""
    _merge(model.graph, only_undone=True)
    for node in [node for node in model.graph if node.op_type in _RECURRENT]:
        before = _reversal(node.inputs[0])
        if before is None:
            continue
        if text(node, "direction", "forward") != "forward" or has_input(node, 4):
            skip(node, "it has a direction, or lengths, of its own")
            continue
        reversed_again = _reversed_again(node.outputs[0])
        if reversed_again is None:
            skip(node, "what it gives is used before it is reversed again")
            continue
        node.attributes["direction"] = ir.AttrString("direction", "reverse")
        node.replace_input_with(0, before.inputs[0])
        for user in reversed_again:
            replace(user.outputs[0], input_of(user, 0))


def _reversed_again(y: ir.Value) -> list[ir.Node] | None:
    """The nodes that reverse all steps that `y` gives; None where another uses them."""
    squeezed = [use.node for use in y.uses()]
    if y.is_graph_output() or any(user.op_type != "Squeeze" or reduced_axes(user) != [1] for user in squeezed):
        return None
    if any(user.outputs[0].is_graph_output() for user in squeezed):
        return None
    users = [use.node for user in squeezed for use in user.outputs[0].uses() if not _asks_for_shape(use.node)]
    return users if all(_reversal(user.outputs[0]) is user for user in users) else None


def _asks_for_shape(node: ir.Node) -> bool:
    """Whether `node` is used for the shape alone of what it takes."""
    if node.op_type == "Shape":
        return True
    output = node.outputs[0]
    asked = all(use.node.op_type == "Shape" for use in output.uses())
    return node.op_type == "Transpose" and asked and not output.is_graph_output()


def _reversal(value: ir.Value | None) -> ir.Node | None:
    """The node that makes `value` if it turns the first axis around, in all of the batch on the second."""
    node = made_by(value, "ReverseSequence")
    if node is None or (integer(node, "time_axis", 0), integer(node, "batch_axis", 1)) != (0, 1):
        return None
    steps = (sizes(node.inputs[0]) or [None])[0]
    expand = made_by(node.inputs[1], "Expand")
    lengths = evaluate(node.inputs[1] if expand is None else expand.inputs[0])
    return node if steps is not None and lengths and all(n == steps for n in lengths) else None


def join_directions(model: ir.Model, _options: PassOptions) -> None:
    """The two directions of a recurrent operator side by side, by one Transpose and one Reshape."""
    for node in [node for node in model.graph if node.op_type == "Concat" and len(node.inputs) == 2]:
        first, second = (_direction(value) for value in node.inputs)
        if first is None or second is None:
            continue
        y, shape = first[0], static(first[0])
        same = second[0] is y and (first[1], second[1]) == (0, 1)
        if not same or integer(node, "axis", 0) % _STEPS != _STEPS - 1:
            skip(node, "it does not put the two directions of one operator side by side, the first first")
        elif shape is None or len(shape) != 4 or shape[3] is None:
            skip(node, "the number of units is not known")
        else:
            moved = insert(node, "Transpose", [y], f"{node.name}/Transpose", permuted(y.shape, _BOTH), perm=_BOTH)
            target = new_integers(model.graph, [0, 0, 2 * shape[3]], f"{node.name}/shape")
            joined = insert(node, "Reshape", [moved, target], str(node.name), node.outputs[0].shape)
            replace(node.outputs[0], joined)


def _direction(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """Y and d, where `value` is Transpose(Squeeze(Slice(Y, d))) along the axis of directions."""
    move = made_by(value, "Transpose")
    swapped = move.inputs[0] if move is not None and integer_list(move, "perm") == _SWAP else None
    squeeze = made_by(swapped, "Squeeze")
    part = made_by(squeeze.inputs[0], "Slice") if squeeze is not None and reduced_axes(squeeze) == [1] else None
    if part is None or made_by(part.inputs[0], *_RECURRENT) is None:
        return None
    start, end, axes, *steps = (integers(x) for x in part.inputs[1:])
    if start is None or len(start) != 1 or end != [start[0] + 1] or axes != [1] or any(x != [1] for x in steps):
        return None
    return input_of(part, 0), start[0]


def merge_transposes(model: ir.Model, _options: PassOptions) -> None:
    """Move a Transpose over a Reshape to the one before it, and make one of two in a row."""
    for node in [node for node in model.graph if node.op_type == "Transpose"]:
        _over_reshape(node)
    _merge(model.graph)


def _merge(graph: ir.Graph, only_undone: bool = False) -> None:
    for node in [node for node in graph if node.op_type == "Transpose"]:
        before = made_by(node.inputs[0], "Transpose")
        if before is None:
            continue
        inner = integer_list(before, "perm")
        perm = [inner[i] for i in integer_list(node, "perm")]
        if perm == sorted(perm) and not node.outputs[0].is_graph_output():
            replace(node.outputs[0], input_of(before, 0))
            graph.remove(node, safe=True)
        elif not only_undone:
            set_integers(node, "perm", perm)
            node.replace_input_with(0, before.inputs[0])


def _over_reshape(node: ir.Node) -> None:
    reshape = made_by(node.inputs[0], "Reshape")
    before = made_by(reshape.inputs[0], "Transpose") if reshape is not None else None
    if reshape is None or before is None:
        return
    if only_use(before.outputs[0]) is not reshape or only_use(reshape.outputs[0]) is not node:
        skip(node, "what is reshaped before it is used otherwise too")
        return
    x, y = static(before.outputs[0]), static(reshape.outputs[0])
    perm, last = integer_list(node, "perm"), len(y or ()) - 1
    if x is None or y is None or len(x) <= len(y) or perm[-1:] != [last] or not _merges_last(x, y, last):
        skip(node, "the Reshape before it does more than merge the last axes, or these do not stay together")
        return
    value = before.outputs[0]
    moved = [*perm[:-1], *range(last, len(x))]
    turned = insert(node, "Transpose", [value], f"{node.name}", permuted(value.shape, moved), perm=moved)
    to = [-1 if (n := y[i]) is None else n for i in perm]
    target = new_integers(graph_of(node), to, f"{node.name}/shape")
    replace(node.outputs[0], insert(node, "Reshape", [turned, target], f"{node.name}/merged", node.outputs[0].shape))


def _merges_last(x: tuple[int | None, ...], y: tuple[int | None, ...], last: int) -> bool:
    """Whether a Reshape from `x` to `y` merges the axes from `last` on and keeps the others."""
    # One free size may have no name in common: the others tell that it is the same.
    same = all(a == b for a, b in zip(x[:last], y[:last], strict=True)) and x[:last].count(None) < 2
    merged = [n for n in x[last:] if n is not None]
    return same and len(merged) == len(x) - last and y[last] == math.prod(merged)
