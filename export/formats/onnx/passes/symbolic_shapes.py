"""Shape arithmetic, evaluated: the sizes of a value, and the elements of a tensor that was computed from sizes.

A size is an integer, or a n + b, where n is the size of an earlier value along an axis, followed back through
operations that keep it. So Shape -> Gather -> Concat is known to be [n, 32, 8] wherever x is [n, 256].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import onnx_ir as ir

from .ir_utils import array_of, constant, input_of, integer, integer_list, rank_of, text
from .size import FreeSize, Size, plus, times, whole_numbers

_SAME_SHAPE = """
    Abs Cast Ceil Clip Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity InstanceNormalization BatchNormalization
    LayerNormalization LeakyRelu Log Mish Neg PRelu Reciprocal Relu Selu Sigmoid Sign Softmax Softplus Softsign Sqrt
    Tanh
"""
_KEEP_SHAPE = frozenset(_SAME_SHAPE.split())
_KEEP_BATCH = frozenset(("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "MaxPool", "Resize"))
_DEEPEST, _LONGEST = 50, 64


def sizes(value: ir.Value | None) -> list[Size] | None:
    """The sizes of a value, symbols for the free ones; None where the rank is unknown."""
    if value is None or value.shape is None:
        return None
    return [n if isinstance(n, int) else _symbol(value, axis) for axis, n in enumerate(value.shape)]


def _symbol(value: ir.Value, axis: int) -> Size:
    """The size of `value` along `axis`, told by the earliest value that has the same one somewhere."""
    while (node := value.producer()) is not None:
        if not node.inputs or node.inputs[0] is None or node.inputs[0].shape is None:
            break
        if node.op_type == "Reshape":
            told = _reshaped(node, axis)
            return FreeSize(value, axis) if told is None else told
        if node.op_type == "ConvTranspose" and axis > 1:
            return _grown(node, axis) or FreeSize(value, axis)
        before = _before(node, axis)
        if before is None:
            break
        value, axis = before
        size = (value.shape or ())[axis]
        if isinstance(size, int):
            return size
    return FreeSize(value, axis)


def _keeps(node: ir.Node, axis: int) -> bool:
    return node.op_type in _KEEP_SHAPE or (node.op_type in _KEEP_BATCH and axis == 0)


def _before(node: ir.Node, axis: int) -> tuple[ir.Value, int] | None:
    """The input of `node`, and its axis, whose size is that of the output along `axis`."""
    source = input_of(node, 0)
    rank = rank_of(source)
    if _keeps(node, axis):
        return source, axis
    if node.op_type == "Transpose" and node.attributes:
        return source, integer_list(node, "perm")[axis]
    if node.op_type == "MatMul" and rank == rank_of(node.outputs[0]) and axis < rank - 1:
        return source, axis
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        array = constant(node.inputs[1])
        return (source, axis) if array is not None and not (array.size > 1 and array.ndim > rank) else None
    return None


def _reshaped(node: ir.Node, axis: int) -> Size:
    """The size that a Reshape is told to make; None if that is left to it."""
    target, own = evaluate(node.inputs[1]), sizes(node.inputs[0])
    found = target[axis] if target is not None and axis < len(target) else None
    if found == 0 and own is not None and axis < len(own):
        found = own[axis]
    return None if found == -1 else found


def _grown(node: ir.Node, axis: int) -> Size:
    """The size of a transposed convolution's result: (n - 1) stride + (kernel - 1) dilation + 1 + what is padded."""
    own, i, rank = sizes(node.inputs[0]), axis - 2, rank_of(node.inputs[1])
    kernel = integer_list(node, "kernel_shape")
    told = "output_shape" in node.attributes or text(node, "auto_pad", "NOTSET") not in ("NOTSET", "")
    if own is None or not kernel or told:
        return None
    stride, dilation = (integer_list(node, name, [1] * rank)[i] for name in ("strides", "dilations"))
    pads = integer_list(node, "pads", [0] * 2 * rank)
    extra = integer_list(node, "output_padding", [0] * rank)[i] - pads[i] - pads[i + len(pads) // 2]
    return plus(times(own[axis], stride), (kernel[i] - 1) * dilation + 1 - stride + extra)


def evaluate(value: ir.Value | None, depth: int = 0) -> list[Size] | None:
    """The elements of a short integer tensor as a list of sizes; None where it is none, or too long to follow."""
    if constant(value) is not None:
        array = array_of(value)
        whole = array.dtype.kind in "iu" and array.ndim <= 1 and array.size <= _LONGEST
        return [int(n) for n in array.reshape(-1)] if whole else None
    node = value.producer() if value is not None else None
    if node is None or depth > _DEEPEST:
        return None
    if node.op_type == "Shape":
        found = sizes(node.inputs[0])
        end = integer(node, "end", len(found or ()))
        return found and found[integer(node, "start", 0) : end]
    parts = [evaluate(x, depth + 1) for x in node.inputs]
    if node.op_type in _PASS_ON:
        return parts[0]
    known = [part for part in parts if part is not None]
    handler = _HANDLERS.get(node.op_type)
    return handler(node, known) if handler is not None and known and len(known) == len(parts) else None


_Parts: TypeAlias = "list[list[Size]]"
_Handler: TypeAlias = "Callable[[ir.Node, _Parts], list[Size] | None]"


def _reshape(_node: ir.Node, parts: _Parts) -> list[Size] | None:
    return parts[0] if len(parts[1]) <= 1 else None


def _concat(_node: ir.Node, parts: _Parts) -> list[Size]:
    return [n for part in parts for n in part]


def _gather(node: ir.Node, parts: _Parts) -> list[Size] | None:
    indices = whole_numbers(parts[1])
    return None if indices is None or integer(node, "axis", 0) != 0 else [parts[0][i] for i in indices]


def _slice(_node: ir.Node, parts: _Parts) -> list[Size] | None:
    first, limits = parts[0], whole_numbers([part[0] for part in parts[1:]])
    if limits is None or len(limits) < 2:
        return None
    return first[limits[0] : limits[1] : limits[3] if len(limits) > 3 else 1]


def _product(_node: ir.Node, parts: _Parts) -> list[Size]:
    known = whole_numbers(parts[0])
    return [None] if known is None else [math.prod(known)]


def _negative(_node: ir.Node, parts: _Parts) -> list[Size]:
    return [times(n, -1) for n in parts[0]]


def _pairs(parts: _Parts) -> list[tuple[Size, Size]]:
    """The elements of two tensors side by side; a single one of either goes with each of the other."""
    first, second = parts
    second = second * (len(first) if len(second) == 1 else 1)
    return list(zip(first * (len(second) if len(first) == 1 else 1), second, strict=False))


def _binary(compute: Callable[[Size, Size], Size]) -> _Handler:
    return lambda _node, parts: [compute(a, b) for a, b in _pairs(parts)] if len(parts) == 2 else None


def _of_integers(compute: Callable[[int, int], int]) -> _Handler:
    def handler(_node: ir.Node, parts: _Parts) -> list[Size] | None:
        pairs = _pairs(parts) if len(parts) == 2 else []
        known = [compute(a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int)]
        return list(known) if len(known) == len(pairs) and len(parts) == 2 else None

    return handler


_PASS_ON = ("Cast", "Identity", "Squeeze", "Unsqueeze")  # the elements stay, whatever else is given
_HANDLERS: dict[str, _Handler] = {
    "Add": _binary(plus),
    "Concat": _concat,
    "Div": _of_integers(lambda a, b: int(a / b)),
    "Gather": _gather,
    "Max": _of_integers(max),
    "Mul": _binary(times),
    "Neg": _negative,
    "ReduceProd": _product,
    "Reshape": _reshape,
    "Slice": _slice,
    "Sub": _binary(lambda a, b: plus(a, b, -1)),
}
