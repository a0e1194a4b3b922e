"""Transposes around recurrent operators, which want time first where Keras has the batch first.

both directions:  Concat(Transpose(Y[:, 0]), Transpose(Y[:, 1]))  ->  Reshape(Transpose(Y))
merged axes:      Transpose(Reshape(Transpose(x)))                ->  Reshape(Transpose(x)), if the Reshape only merges
                                                                      the last axes and these stay together
Transpose(Transpose(x))                                           ->  Transpose(x), or x
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, insert, made_by, new_constant, only_use, replace, static
from .permute_op import reduced_axes
from .symbolic_shapes import evaluate, sizes

_SWAP, _STEPS = [1, 0, 2], 3
_BOTH = [2, 0, 1, 3]  # [time, directions, batch, units] -> [batch, time, directions, units]


def run_backwards(graph: ir.Graph) -> None:
    """A recurrent operator on reversed steps, whose results are reversed again, as one that runs backwards."""
    _merge(graph, only_undone=True)
    for node in [node for node in graph if node.op_type in ("GRU", "LSTM", "RNN")]:
        before = _reversal(node.inputs[0])
        y = node.outputs[0]
        if before is None or attribute(node, "direction", "forward") != "forward":
            continue
        if len(node.inputs) > 4 and node.inputs[4] is not None:  # lengths
            continue
        squeezed = [use.node for use in y.uses()]
        if y.is_graph_output() or any(user.op_type != "Squeeze" or reduced_axes(user) != [1] for user in squeezed):
            continue
        users = [use.node for user in squeezed for use in user.outputs[0].uses() if not _asks_for_shape(use.node)]
        if any(user.outputs[0].is_graph_output() for user in squeezed) or any(
            _reversal(user.outputs[0]) is not user for user in users
        ):
            continue
        node.attributes["direction"] = ir.AttrString("direction", "reverse")
        node.replace_input_with(0, before.inputs[0])
        for user in users:
            replace(user.outputs[0], user.inputs[0])  # type: ignore[arg-type]


def _asks_for_shape(node: ir.Node) -> bool:
    """Whether nothing but the shape of what `node` makes is used."""
    if node.op_type == "Shape":
        return True
    output = node.outputs[0]
    asked = all(use.node.op_type == "Shape" for use in output.uses())
    return node.op_type == "Transpose" and asked and not output.is_graph_output()


def _reversal(value: ir.Value | None) -> ir.Node | None:
    """The node that makes `value` if it turns the first axis around, in all of the batch on the second."""
    node = made_by(value, "ReverseSequence")
    if node is None or (attribute(node, "time_axis", 0), attribute(node, "batch_axis", 1)) != (0, 1):
        return None
    steps = (sizes(node.inputs[0]) or (None,))[0]  # type: ignore[arg-type]
    expand = made_by(node.inputs[1], "Expand")
    lengths = evaluate(node.inputs[1] if expand is None else expand.inputs[0])
    return node if steps is not None and lengths and all(n == steps for n in lengths) else None


def both_directions(graph: ir.Graph) -> None:
    """The two directions of a recurrent operator side by side, by one Transpose and one Reshape."""
    for node in [node for node in graph if node.op_type == "Concat" and len(node.inputs) == 2]:
        found = [_direction(value) for value in node.inputs]
        if None in found or attribute(node, "axis") % _STEPS != _STEPS - 1:
            continue
        (y, first), (other, second) = found  # type: ignore[misc]
        shape = static(y)
        if other is not y or (first, second) != (0, 1) or shape is None or len(shape) != 4 or shape[3] is None:
            continue
        moved = insert(node, "Transpose", [y], f"{node.name}/Transpose", _permuted(y, _BOTH), perm=_BOTH)
        target = new_constant(graph, np.array([0, 0, 2 * shape[3]], np.int64), f"{node.name}/shape")
        replace(node.outputs[0], insert(node, "Reshape", [moved, target], str(node.name), node.outputs[0].shape))


def _direction(value: ir.Value | None) -> tuple[ir.Value, int] | None:
    """Y and d, where `value` is Transpose(Squeeze(Slice(Y, d))) along the axis of directions."""
    move = made_by(value, "Transpose")
    squeeze = (
        made_by(move.inputs[0], "Squeeze") if move is not None and list(attribute(move, "perm")) == _SWAP else None
    )
    part = made_by(squeeze.inputs[0], "Slice") if squeeze is not None and reduced_axes(squeeze) == [1] else None
    if part is None or made_by(part.inputs[0], "GRU", "LSTM", "RNN") is None:
        return None
    start, end, axes, *steps = (constant(x) for x in part.inputs[1:])
    plain = all(x is not None and x.size == 1 for x in (start, end, axes, *steps))
    if not plain or axes.item() != 1 or end.item() != start.item() + 1 or any(x.item() != 1 for x in steps):  # type: ignore[union-attr]
        return None
    return part.inputs[0], int(start.item())  # type: ignore[union-attr,return-value]


def fewer_transposes(graph: ir.Graph) -> None:
    """Move a Transpose over a Reshape to the one before it, and make one of two in a row."""
    for node in [node for node in graph if node.op_type == "Transpose"]:
        _over_reshape(graph, node)
    _merge(graph)


def _merge(graph: ir.Graph, only_undone: bool = False) -> None:
    for node in [node for node in graph if node.op_type == "Transpose"]:
        before = made_by(node.inputs[0], "Transpose")
        if before is None:
            continue
        perm = [attribute(before, "perm")[i] for i in attribute(node, "perm")]
        if perm == sorted(perm) and not node.outputs[0].is_graph_output():
            replace(node.outputs[0], before.inputs[0])  # type: ignore[arg-type]
            graph.remove(node, safe=True)
        elif not only_undone:
            node.attributes["perm"] = ir.AttrInt64s("perm", perm)
            node.replace_input_with(0, before.inputs[0])


def _over_reshape(graph: ir.Graph, node: ir.Node) -> None:
    reshape = made_by(node.inputs[0], "Reshape")
    before = made_by(reshape.inputs[0], "Transpose") if reshape is not None else None
    if before is None or only_use(before.outputs[0]) is not reshape or only_use(node.inputs[0]) is not node:  # type: ignore[arg-type]
        return
    x, y = static(before.outputs[0]), static(reshape.outputs[0])  # type: ignore[union-attr]
    perm, last = list(attribute(node, "perm")), len(y or ()) - 1
    if x is None or y is None or len(x) <= len(y) or perm[-1:] != [last] or None in x[last:]:
        return
    # One free size may have no name in common: the others tell that it is the same.
    same = all(a == b for a, b in zip(x[:last], y[:last], strict=True)) and x[:last].count(None) < 2
    if not same or y[last] != math.prod(x[last:]):  # type: ignore[arg-type]
        return
    moved = [*perm[:-1], *range(last, len(x))]
    value = before.outputs[0]
    turned = insert(node, "Transpose", [value], f"{node.name}", _permuted(value, moved), perm=moved)
    to = [-1 if y[i] is None else y[i] for i in perm]
    target = new_constant(graph, np.array(to, np.int64), f"{node.name}/shape")
    replace(node.outputs[0], insert(node, "Reshape", [turned, target], f"{node.name}/merged", node.outputs[0].shape))


def _permuted(value: ir.Value, perm: list[int]) -> ir.Shape | None:
    return None if value.shape is None else ir.Shape([value.shape[i] for i in perm])
