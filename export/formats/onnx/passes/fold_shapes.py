"""Shape arithmetic as constants with at most one free size.

    Reshape(x, Concat(Gather(Shape(x), 0), 32, ...))  ->  Reshape(x, [0, 32, -1])

What stays are shapes that hang on two free sizes, unless they are the whole shape of a value: then one Shape says it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .ir_utils import constant, graph_of, has_input, input_of, insert, new_constant, new_integers, replace
from .pass_types import PassOptions
from .size import Size, whole_numbers
from .skips import skip
from .symbolic_shapes import evaluate, sizes

_ON_SHAPES = "Add Cast Concat Div Gather Max Mul Neg ReduceProd Shape Slice Squeeze Sub Unsqueeze"
_ARITHMETIC = frozenset(_ON_SHAPES.split())
_DEEPEST = 20


def fold_shapes(model: ir.Model, _options: PassOptions) -> None:
    """Replace computed shapes by constants wherever at most one size stays free."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type in ("Reshape", "Expand") and len(node.inputs) > 1 and constant(node.inputs[1]) is None:
                _fold_target(node)
            elif node.op_type in _ARITHMETIC:
                _fold_value(node)
        for node in list(graph):
            if _does_nothing(node):
                replace(node.outputs[0], input_of(node, 0))


def _fold_value(node: ir.Node) -> None:
    output = node.outputs[0]
    if output.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or not output.uses() or output.shape is None:
        return
    found = whole_numbers(evaluate(output))
    if not found or len(output.shape) > 1:
        skip(node, "its elements are not all known, or it is no list")
        return
    array = np.array(found, output.dtype.numpy()).reshape([len(found)] if len(output.shape) else [])
    replace(output, new_constant(graph_of(node), array, f"{node.name}/folded"))


def _fold_target(node: ir.Node) -> None:
    """Make the second input of a Reshape or Expand a constant if that says the same, or else one Shape if that does."""
    found = evaluate(node.inputs[1])
    if found is None:
        skip(node, "its target is computed from more than sizes")
        return
    target = whole_numbers(_with_free_size(node, found) if node.op_type == "Reshape" else found)
    if target is not None:
        node.replace_input_with(1, new_integers(graph_of(node), target, f"{node.name}/shape"))
        return
    whole = _value_of_shape(node.inputs[1], found)
    if whole is None:
        skip(node, "more than one size of its target is free, and no value has that shape")
    else:
        node.replace_input_with(1, insert(node, "Shape", [whole], f"{node.name}/shape"))


def _with_free_size(node: ir.Node, found: list[Size]) -> list[Size]:
    """`found` as a Reshape may be told it: 0 for a size that stays in its place, -1 for the one that is left free."""
    own = sizes(node.inputs[0]) or []
    target = [0 if not isinstance(n, int) and i < len(own) and n == own[i] else n for i, n in enumerate(found)]
    free = [i for i, n in enumerate(target) if not isinstance(n, int)]
    if len(free) == 1 and -1 not in target:
        target[free[0]] = -1
    return target


def _does_nothing(node: ir.Node) -> bool:
    """Whether `node` is a Slice of everything or a Pad of nothing."""
    if node.op_type == "Pad":
        pads = evaluate(node.inputs[1])
        return pads is not None and all(n == 0 for n in pads)
    if node.op_type != "Slice" or len(node.inputs) < 3:
        return False
    starts, ends, own = evaluate(node.inputs[1]), evaluate(node.inputs[2]), sizes(node.inputs[0])
    if starts is None or ends is None or own is None or any(starts):
        return False
    axes = whole_numbers(evaluate(node.inputs[3]) if has_input(node, 3) else list(range(len(starts))))
    steps = evaluate(node.inputs[4]) if len(node.inputs) > 4 else [1]
    if axes is None or steps is None or set(steps) != {1}:
        return False
    return all(end == own[i] for end, i in zip(ends, axes, strict=True))


def _value_of_shape(value: ir.Value | None, found: list[Size], depth: int = 0) -> ir.Value | None:
    """The value whose shape is `found`, among those that `value` was computed from."""
    node = value.producer() if value is not None else None
    if node is None or depth > _DEEPEST:
        return None
    if node.op_type == "Shape":
        return node.inputs[0] if sizes(node.inputs[0]) == found else None
    parts = (_value_of_shape(part, found, depth + 1) for part in node.inputs)
    return next((x for x in parts if x is not None), None)
