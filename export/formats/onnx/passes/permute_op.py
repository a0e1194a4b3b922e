"""How an operation is turned: what changes in it when its tensors are stored with their axes in another order.

`perm` says which of the old axes each new one is: new axis i is old axis perm[i].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from .group_norm_op import GROUPS, LAST_COSTS, may_be_last, turn_last
from .ir_utils import (
    AttributeValue,
    array_of,
    constant,
    graph_of,
    has_input,
    input_of,
    insert,
    integer,
    integers,
    new_constant,
    new_integers,
    opset_of,
    permuted,
    real,
    reduced_axes,
    set_axes,
    set_slice_axes,
    static,
)
from .pixel_shuffle_op import SHUFFLE, turn_pixel_shuffle

Perm = tuple[int, ...]
_ONE = """
    Abs Acos Asin Atan Cast Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsNaN LeakyRelu
    Log Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tan Tanh ThresholdedRelu
"""
_MORE = "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
_KINDS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
UNARY, ELEMENTWISE = _ONE.split(), _MORE.split()
_AXIS = ("Concat", "Split", "Softmax", "LogSoftmax", "Hardmax")
_AXES_ARE_INPUTS = 18  # the opset since which a reduction has its axes as an input
REDUCE = tuple(f"Reduce{kind}" for kind in _KINDS.split())


def turnable(node: ir.Node, rank: int) -> bool:
    """Whether `turn` knows how to store the tensors of `node`, of `rank`, with their axes in another order."""
    shapes = [static(x) for x in node.inputs if x is not None and constant(x) is None]
    if not shapes or any(shape is None or len(shape) not in (0, rank) for shape in shapes) or not shapes[0]:
        return False
    if node.op_type in _CHANNELS_LAST:
        return _CHANNELS_LAST[node.op_type].fits(node, rank)
    turning = _TURNING.get(node.op_type)
    return turning is not None and turning.fits(node, rank)


def leaves(node: ir.Node, rank: int, perm: Perm) -> bool:
    """Whether `node` takes axes away so that the rest stands in the same order before and after turning by `perm`."""
    if node.op_type not in (*REDUCE, "Squeeze") or integer(node, "keepdims", 0) == 1:
        return False
    axes = reduced_axes(node)
    if axes is None or (len(node.inputs) > 1 and constant(node.inputs[1]) is None):
        return False
    kept = [i for i in range(rank) if i not in {axis % rank for axis in axes}]
    return [i for i in perm if i in kept] == kept


def penalty(node: ir.Node) -> float:
    """What channels first cost at run time, in passes over the tensor; less than nothing where channels last do."""
    return {"Softmax": 1.0, "LayerNormalization": 0.5, GROUPS: -LAST_COSTS}.get(node.op_type, 0.0)


def turn(node: ir.Node, rank: int, perm: Perm) -> list[ir.Value] | None:
    """Rewrite `node` for turned tensors; returns its new outputs where other nodes took its place."""
    if node.op_type in _CHANNELS_LAST:
        return [_CHANNELS_LAST[node.op_type].write(node, rank, perm)]
    _TURNING[node.op_type].turn(node, rank, perm)
    for output in node.outputs:
        if output.shape is not None and len(output.shape) == rank:
            output.shape = permuted(output.shape, perm)
    return None


# How each kind of operation turns in its place: whether it can, and how.


class _Turning(NamedTuple):
    fits: Callable[[ir.Node, int], bool]
    turn: Callable[[ir.Node, int, Perm], None]


def _always(_node: ir.Node, _rank: int) -> bool:
    return True


def _as_it_is(_node: ir.Node, _rank: int, _perm: Perm) -> None:
    """An operation on each element alone."""


def _broadcasts(node: ir.Node, rank: int) -> bool:
    return all(constant(x) is None or array_of(x).ndim <= rank for x in node.inputs if x is not None)


def _turn_constants(node: ir.Node, rank: int, perm: Perm) -> None:
    for i, value in enumerate(node.inputs):
        array = constant(value)
        if array is not None and array.size > 1:
            full = array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(perm)
            node.replace_input_with(i, new_constant(graph_of(node), full, f"{node.name}/turned"))


def _turn_axis(node: ir.Node, rank: int, perm: Perm) -> None:
    default = 0 if node.op_type == "Split" else -1
    node.attributes["axis"] = ir.AttrInt64("axis", perm.index(integer(node, "axis", default) % rank))


def _keeps_axes(node: ir.Node, _rank: int) -> bool:
    return integer(node, "keepdims", 1) == 1 and reduced_axes(node) is not None


def _turn_axes(node: ir.Node, rank: int, perm: Perm) -> None:
    set_axes(node, sorted(perm.index(axis % rank) for axis in reduced_axes(node) or ()))


def _knows_widths(node: ir.Node, rank: int) -> bool:
    width = constant(node.inputs[1])
    return width is not None and width.size == rank * (2 if node.op_type == "Pad" else 1) and len(node.inputs) < 4


def _turn_widths(node: ir.Node, rank: int, perm: Perm) -> None:
    width = array_of(node.inputs[1]).reshape(-1, rank)[:, list(perm)].reshape(-1)
    node.replace_input_with(1, new_constant(graph_of(node), width, f"{node.name}/turned"))


def _knows_limits(node: ir.Node, _rank: int) -> bool:
    return all(constant(x) is not None for x in node.inputs[1:] if x is not None)


def _turn_slice(node: ir.Node, rank: int, perm: Perm) -> None:
    axes = integers(node.inputs[3]) if has_input(node, 3) else list(range(array_of(node.inputs[1]).size))
    set_slice_axes(node, [perm.index(axis % rank) for axis in axes or ()])


def _turn_group_norm(node: ir.Node, _rank: int, _perm: Perm) -> None:
    turn_last(node)


def _turn_shuffle(node: ir.Node, _rank: int, perm: Perm) -> None:
    turn_pixel_shuffle(node, perm)


_TURNING: dict[str, _Turning] = {
    **dict.fromkeys(UNARY, _Turning(_broadcasts, _as_it_is)),
    **dict.fromkeys(ELEMENTWISE, _Turning(_broadcasts, _turn_constants)),
    **dict.fromkeys(_AXIS, _Turning(_always, _turn_axis)),
    **dict.fromkeys(REDUCE, _Turning(_keeps_axes, _turn_axes)),
    **dict.fromkeys(("Pad", "Tile", "Expand"), _Turning(_knows_widths, _turn_widths)),
    "Slice": _Turning(_knows_limits, _turn_slice),
    "Squeeze": _Turning(lambda _node, _rank: False, _turn_axes),  # turns only where `leaves` says so
    GROUPS: _Turning(lambda node, _rank: may_be_last(node), _turn_group_norm),
    SHUFFLE: _Turning(_always, _turn_shuffle),
}


# What only turns from channels last to channels first: other operations in its place.


class _Replacing(NamedTuple):
    fits: Callable[[ir.Node, int], bool]
    write: Callable[[ir.Node, int, Perm], ir.Value]


def _can_be_1x1(node: ir.Node, rank: int) -> bool:
    kernel = constant(node.inputs[1])
    return rank in (4, 5) and kernel is not None and kernel.ndim == 2


def _to_1x1(node: ir.Node, rank: int, perm: Perm) -> ir.Value:
    """x W over the last axis is a 1x1 convolution over the second."""
    kernel, ones = array_of(node.inputs[1]).T, [1] * (rank - 2)
    weights = new_constant(graph_of(node), kernel.reshape(*kernel.shape, *ones), f"{node.name}/kernel")
    return _take_place(node, insert(node, "Conv", [node.inputs[0], weights], str(node.name), kernel_shape=ones), perm)


def _over_last(node: ir.Node, rank: int) -> bool:
    return integer(node, "axis", -1) % rank == rank - 1 and not any(y.uses() for y in node.outputs[1:])


def _over_channels(node: ir.Node, rank: int, perm: Perm) -> ir.Value:
    """Layer normalization over the channels where they stand second; the operator normalizes trailing axes only."""
    x, name, graph = input_of(node, 0), node.name, graph_of(node)
    epsilon = np.float32(real(node, "epsilon", 1e-5))

    def add(op_type: str, inputs: Sequence[ir.Value | None], part: str, **attributes: AttributeValue) -> ir.Value:
        return insert(node, op_type, inputs, f"{name}/{part}", None, **attributes)

    def mean(value: ir.Value) -> ir.Value:
        axes = [perm.index(rank - 1)]
        if opset_of(graph) < _AXES_ARE_INPUTS:
            return add("ReduceMean", [value], "mean", axes=axes, keepdims=1)
        return add("ReduceMean", [value, new_integers(graph, axes, f"{name}/axes")], "mean", keepdims=1)

    centred = add("Sub", [x, mean(x)], "centred")
    variance = mean(add("Mul", [centred, centred], "square"))
    shifted = add("Add", [variance, new_constant(graph, epsilon, f"{name}/constant")], "shifted")
    inverse = add("Reciprocal", [add("Sqrt", [shifted], "deviation")], "inverse")
    y = add("Mul", [centred, inverse], "normalized")
    for op_type, value in zip(("Mul", "Add"), node.inputs[1:], strict=False):
        array = constant(value)
        if array is not None and not (array == (op_type == "Mul")).all():
            shaped = new_constant(graph, array.reshape(-1, *[1] * (rank - 2)), f"{name}/{op_type.lower()}")
            y = add(op_type, [y, shaped], op_type.lower())
    return _take_place(node, y, perm)


def _take_place(node: ir.Node, new: ir.Value, perm: Perm) -> ir.Value:
    old = node.outputs[0]
    new.type, new.shape = old.type, permuted(old.shape, perm)
    for use in list(old.uses()):
        use.node.replace_input_with(use.idx, new)
    return new


_CHANNELS_LAST = {
    "MatMul": _Replacing(_can_be_1x1, _to_1x1),
    "LayerNormalization": _Replacing(_over_last, _over_channels),
}
ONE_WAY = frozenset(_CHANNELS_LAST)
