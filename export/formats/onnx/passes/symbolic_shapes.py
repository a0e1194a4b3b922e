"""Shape arithmetic, evaluated: what is left of it in a graph are constants with at most one free size.

A size is an integer, or (value, axis, a, b) for a n + b, where n is the size of an earlier value along an axis,
followed back through operations that keep it. Shape -> Gather -> Concat -> Reshape so becomes Reshape(x, [0, 32, -1]).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, insert, made_by, new_constant, replace

Size = Any  # an integer, (id of a value, axis, a, b), or None: unknown
_SAME_SHAPE = """
    Abs Cast Ceil Clip Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity InstanceNormalization BatchNormalization
    LayerNormalization LeakyRelu Log Mish Neg PRelu Reciprocal Relu Selu Sigmoid Sign Softmax Softplus Softsign Sqrt
    Tanh
"""
_KEEP_SHAPE = frozenset(_SAME_SHAPE.split())
_KEEP_BATCH = frozenset(("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "MaxPool", "Resize"))
_MATMUL = "MatMul"
_NO_AUTO_PAD = (None, "NOTSET", "")
_ON_SHAPES = "Add Cast Concat Div Gather Max Mul Neg ReduceProd Shape Slice Squeeze Sub Unsqueeze"
_ARITHMETIC = frozenset(_ON_SHAPES.split())


def fold_shapes(model: ir.Model) -> None:
    """Replace computed shapes by constants wherever at most one size stays free."""
    for graph in (model.graph, *model.graph.subgraphs()):
        for node in list(graph):
            if node.op_type in ("Reshape", "Expand") and len(node.inputs) > 1 and constant(node.inputs[1]) is None:
                _fold_target(node)
            elif node.op_type in _ARITHMETIC:
                _fold_value(node)
        for node in list(graph):
            if _does_nothing(node):
                replace(node.outputs[0], node.inputs[0])  # type: ignore[arg-type]


def shapes_of_branches(graph: ir.Graph) -> bool:
    """Give what an If or a Loop returns the sizes that all its graphs agree on; whether there is such an operation."""
    found = False
    for node in graph:
        bodies = [a.value for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH]
        if node.op_type not in ("If", "Loop") or not bodies:
            continue
        found = True
        carried = len(node.inputs) - 2  # what a Loop returns beyond these has an axis for its rounds
        for i, output in enumerate(node.outputs[: carried if node.op_type == "Loop" else None]):
            shapes = [body.outputs[i + (node.op_type == "Loop")].shape for body in bodies]
            ranks = {None if shape is None else len(shape) for shape in shapes}
            if output.shape is None and len(ranks) == 1 and None not in ranks:
                same = [{*axis} for axis in zip(*shapes, strict=True)]
                output.shape = ir.Shape([n.pop() if len(n) == 1 and isinstance(min(n), int) else None for n in same])
    return found


def sizes(value: ir.Value) -> list[Size] | None:
    """The sizes of a value, symbols for the free ones; None where the rank is unknown."""
    if value.shape is None:
        return None
    return [n if isinstance(n, int) else _symbol(value, axis) for axis, n in enumerate(value.shape)]


def _symbol(value: ir.Value, axis: int) -> Size:
    """The earliest value that has the same size somewhere."""
    while (node := value.producer()) is not None:
        source = node.inputs[0] if node.inputs else None
        if source is None or source.shape is None:
            break
        if node.op_type in _KEEP_SHAPE or (node.op_type in _KEEP_BATCH and axis == 0):
            value = source
        elif node.op_type == "Transpose" and node.attributes:
            value, axis = source, attribute(node, "perm")[axis]
        elif node.op_type == "Reshape":
            target = evaluate(node.inputs[1])
            own = sizes(source)
            found = target[axis] if target is not None and axis < len(target) else None
            if found == 0 and own is not None and axis < len(own):
                found = own[axis]
            return found if found not in (None, -1) else (id(value), axis, 1, 0)
        elif node.op_type == "ConvTranspose" and axis > 1:
            return _grown(node, axis) or (id(value), axis, 1, 0)
        elif node.op_type == _MATMUL and len(source.shape) == len(value.shape or ()) and axis < len(source.shape) - 1:
            value = source
        elif node.op_type in ("Add", "Sub", "Mul", "Div") and constant(node.inputs[1]) is not None:
            if node.inputs[1].const_value.size > 1 and len(node.inputs[1].const_value.shape) > len(source.shape):  # type: ignore[union-attr]
                break
            value = source
        else:
            break
        if isinstance((value.shape or ())[axis], int):
            return value.shape[axis]  # type: ignore[index,return-value]
    return id(value), axis, 1, 0


def _grown(node: ir.Node, axis: int) -> Size:
    """The size of a transposed convolution's result: (n - 1) stride + (kernel - 1) dilation + 1 + what is padded."""
    own, i, rank = sizes(node.inputs[0]), axis - 2, len(node.inputs[1].shape or ())  # type: ignore[arg-type, union-attr]
    kernel = attribute(node, "kernel_shape")
    if (
        own is None
        or kernel is None
        or attribute(node, "output_shape")
        or attribute(node, "auto_pad") not in _NO_AUTO_PAD
    ):
        return None
    stride, dilation = (attribute(node, name, [1] * rank)[i] for name in ("strides", "dilations"))
    pads = attribute(node, "pads", [0] * 2 * rank)
    extra = attribute(node, "output_padding", [0] * rank)[i] - pads[i] - pads[i + len(pads) // 2]
    return _plus(_times(own[axis], stride), (kernel[i] - 1) * dilation + 1 - stride + extra)


def _plus(a: Size, b: Size, sign: int = 1) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a + sign * b
    if a is None or b is None:
        return None
    if isinstance(b, int):
        return (*a[:3], a[3] + sign * b)
    if isinstance(a, int):
        return _plus(_times(b, sign), a)
    if a[:2] != b[:2]:
        return None
    factor = a[2] + sign * b[2]
    return (*a[:2], factor, a[3] + sign * b[3]) if factor else a[3] + sign * b[3]


def _times(a: Size, b: Size) -> Size:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if isinstance(a, int):
        a, b = b, a
    return (*a[:2], a[2] * b, a[3] * b) if a is not None and isinstance(b, int) and b else None


def evaluate(value: ir.Value | None, depth: int = 0) -> Any:
    """The elements of a short integer tensor as a list of sizes; None where it is none, or too long to follow."""
    array = constant(value)
    if array is not None:
        whole = array.dtype.kind in "iu" and array.ndim <= 1 and array.size <= 64
        return [int(n) for n in array.reshape(-1)] if whole else None
    node = value.producer() if value is not None else None
    if node is None or depth > 50:
        return None
    if node.op_type == "Shape":
        found = sizes(node.inputs[0])  # type: ignore[arg-type]
        return found and found[attribute(node, "start", 0) : attribute(node, "end")]
    parts = [evaluate(x, depth + 1) for x in node.inputs]
    first = parts[0] if parts else None
    if first is None:
        return None
    if node.op_type in ("Cast", "Identity", "Unsqueeze", "Squeeze"):
        return first
    if any(part is None for part in parts):
        return None
    if node.op_type == "Reshape" and len(parts[1]) <= 1:  # type: ignore[arg-type]
        return first
    if node.op_type == "Concat":
        return [n for part in parts for n in part]  # type: ignore[union-attr]
    if node.op_type == "Gather" and attribute(node, "axis", 0) == 0:
        return [first[i] for i in parts[1]]  # type: ignore[index,union-attr]
    if node.op_type == "Slice" and len(parts) >= 3:
        start, end, step = parts[1][0], parts[2][0], parts[4][0] if len(parts) > 4 else 1  # type: ignore[index]
        return first[start:end:step]
    if node.op_type == "ReduceProd":
        return [math.prod(first)] if all(isinstance(n, int) for n in first) else [None]  # type: ignore[arg-type]
    if node.op_type == "Neg":
        return [_times(n, -1) for n in first]
    if node.op_type in ("Add", "Sub", "Mul", "Div", "Max") and len(parts) == 2:
        second = parts[1] * (len(first) if len(parts[1]) == 1 else 1)
        pairs = list(zip(first * (len(second) if len(first) == 1 else 1), second, strict=False))
        if node.op_type in ("Add", "Sub"):
            return [_plus(a, b, 1 if node.op_type == "Add" else -1) for a, b in pairs]
        if node.op_type == "Mul":
            return [_times(a, b) for a, b in pairs]
        if all(isinstance(n, int) for pair in pairs for n in pair):
            return [max(pair) if node.op_type == "Max" else int(pair[0] / pair[1]) for pair in pairs]
    return None


def _fold_value(node: ir.Node) -> None:
    output = node.outputs[0]
    if output.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or not output.uses() or output.shape is None:
        return
    found = evaluate(output)
    if found and all(isinstance(n, int) for n in found) and len(output.shape) <= 1:
        array = np.array(found, output.dtype.numpy()).reshape([len(found)] if len(output.shape) else [])
        replace(output, new_constant(node.graph, array, f"{node.name}/folded"))  # type: ignore[arg-type]


def _fold_target(node: ir.Node) -> None:
    """Make the second input of a Reshape or Expand a constant if that says the same, or else one Shape if that does."""
    found, source = evaluate(node.inputs[1]), node.inputs[0]
    if found is None:
        return
    target = found
    if node.op_type == "Reshape":
        own = sizes(source) or []  # type: ignore[arg-type]
        target = [0 if not isinstance(n, int) and i < len(own) and n == own[i] else n for i, n in enumerate(found)]
        free = [i for i, n in enumerate(target) if not isinstance(n, int)]
        if len(free) == 1 and -1 not in target:
            target[free[0]] = -1
    if all(isinstance(n, int) for n in target):
        node.replace_input_with(1, new_constant(node.graph, np.array(target, np.int64), f"{node.name}/shape"))  # type: ignore[arg-type]
        return
    whole = _shape_of(node.inputs[1], found)
    if whole is not None:
        node.replace_input_with(1, insert(node, "Shape", [whole], f"{node.name}/shape"))


def _does_nothing(node: ir.Node) -> bool:
    """Whether `node` is a Slice of everything or a Pad of nothing."""
    if node.op_type == "Pad":
        pads = evaluate(node.inputs[1])
        return pads is not None and all(n == 0 for n in pads)
    if node.op_type != "Slice" or len(node.inputs) < 3 or (len(node.inputs) > 4 and evaluate(node.inputs[4]) is None):
        return False
    starts, ends, own = evaluate(node.inputs[1]), evaluate(node.inputs[2]), sizes(node.inputs[0])  # type: ignore[arg-type]
    axes = evaluate(node.inputs[3]) if len(node.inputs) > 3 else list(range(len(starts or ())))
    if starts is None or ends is None or own is None or axes is None or any(starts):
        return False
    steps = evaluate(node.inputs[4]) if len(node.inputs) > 4 else [1]
    return steps is not None and set(steps) == {1} and all(end == own[i] for end, i in zip(ends, axes, strict=True))


def _shape_of(value: ir.Value | None, found: list[Size], depth: int = 0) -> ir.Value | None:
    """The value whose shape is `found`, among those that it was computed from."""
    node = value.producer() if value is not None else None
    if node is None or depth > 20:
        return None
    if node.op_type == "Shape":
        return node.inputs[0] if sizes(node.inputs[0]) == found else None  # type: ignore[arg-type]
    return next((x for part in node.inputs if (x := _shape_of(part, found, depth + 1)) is not None), None)


def same_sizes(target: list[Size] | None, wanted: list[Size] | None) -> bool:
    """Whether a Reshape to `target` gives `wanted`, of which one size may have been left to it as -1."""
    if target is None or wanted is None or len(target) != len(wanted):
        return False
    differ = [a for a, b in zip(target, wanted, strict=True) if a is None or a != b]
    return not differ or (len(differ) == 1 and differ[0] == -1)


def drop_reshapes(graph: ir.Graph) -> None:
    """Remove Reshapes that change nothing, and all but the last of a row of them where it does not look back."""
    for node in list(graph):
        if node.op_type != "Reshape":
            continue
        source, target = node.inputs[0], evaluate(node.inputs[1])
        before = made_by(source, "Reshape")
        if before is not None and target is not None and 0 not in target:
            node.replace_input_with(0, before.inputs[0])
            source = before.inputs[0]
        if source is None or target is None:
            continue
        own = sizes(source)
        filled = [own[i] if n == 0 and own and i < len(own) else n for i, n in enumerate(target)]
        if same_sizes(filled, own):
            replace(node.outputs[0], source)
