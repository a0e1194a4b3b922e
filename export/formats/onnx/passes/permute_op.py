"""How an operation is turned: what changes in it when its tensors are stored with their axes in another order.

`perm` says which of the old axes each new one is: new axis i is old axis perm[i].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from .group_norm_op import GROUPS, LAST_COSTS, may_be_last, turn_last
from .ir_utils import attribute, constant, insert, new_constant, static
from .pixel_shuffle_op import REGROUP, turn_regroup

Perm = tuple[int, ...]
_ONE = """
    Abs Acos Asin Atan Cast Ceil Celu Clip Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity IsNaN LeakyRelu
    Log Mish Neg Not Reciprocal Relu Round Selu Sigmoid Sign Sin Softplus Softsign Sqrt Tan Tanh ThresholdedRelu
"""
_MORE = "Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub Sum Where Xor"
_KINDS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
UNARY, ELEMENTWISE = _ONE.split(), _MORE.split()
_AXIS = ("Concat", "Split", "Softmax", "LogSoftmax", "Hardmax")
REDUCE = tuple(f"Reduce{kind}" for kind in _KINDS.split())


def turnable(node: ir.Node, rank: int) -> bool:
    """Whether `turn` knows how to store the tensors of `node`, of `rank`, with their axes in another order."""
    data = [x for x in node.inputs if x is not None and constant(x) is None]
    shapes = [static(x) for x in data]
    if not data or any(shape is None or len(shape) not in (0, rank) for shape in shapes) or not shapes[0]:
        return False
    kind = node.op_type
    if kind == GROUPS:
        return may_be_last(node)
    if kind == REGROUP:
        return True
    if kind in UNARY or kind in ELEMENTWISE:
        return all(constant(x) is None or constant(x).ndim <= rank for x in node.inputs if x is not None)  # type: ignore[union-attr]
    if kind in _AXIS:
        return True
    if kind in REDUCE:
        return attribute(node, "keepdims", 1) == 1 and reduced_axes(node) is not None
    if kind in ("Pad", "Tile", "Expand"):
        width = constant(node.inputs[1])
        return width is not None and width.size == rank * (2 if kind == "Pad" else 1) and len(node.inputs) < 4
    if kind == "Slice":
        return all(constant(x) is not None for x in node.inputs[1:] if x is not None)
    return kind in _CHANNELS_LAST and _CHANNELS_LAST[kind][0](node, rank)


def leaves(node: ir.Node, rank: int, perm: Perm) -> bool:
    """Whether `node` takes axes away so that the rest stands in the same order before and after turning by `perm`."""
    if node.op_type not in (*REDUCE, "Squeeze") or attribute(node, "keepdims", 0) == 1:
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
    if node.op_type == GROUPS:
        turn_last(node)
    if node.op_type == REGROUP:
        turn_regroup(node, perm)
    if node.op_type in _CHANNELS_LAST:
        return [_CHANNELS_LAST[node.op_type][1](node, rank, perm)]
    _turn_in_place(node, rank, perm)
    for output in node.outputs:
        if output.shape is not None and len(output.shape) == rank:
            output.shape = ir.Shape([output.shape[i] for i in perm])
    return None


def _turn_in_place(node: ir.Node, rank: int, perm: Perm) -> None:
    kind, new = node.op_type, [perm.index(i) for i in range(rank)]
    if kind in ELEMENTWISE:
        for i, value in enumerate(node.inputs):
            array = constant(value)
            if array is not None and array.size > 1:
                full = array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(perm)
                node.replace_input_with(i, new_constant(node.graph, full, f"{node.name}/turned"))  # type: ignore[arg-type]
    elif kind in _AXIS:
        default = {"Split": 0}.get(kind, -1)
        node.attributes["axis"] = ir.AttrInt64("axis", new[attribute(node, "axis", default) % rank])
    elif kind in REDUCE or kind == "Squeeze":
        _set_axes(node, sorted(new[axis % rank] for axis in reduced_axes(node) or ()))
    elif kind in ("Pad", "Tile", "Expand"):
        width = constant(node.inputs[1]).reshape(-1, rank)[:, list(perm)].reshape(-1)  # type: ignore[union-attr]
        node.replace_input_with(1, new_constant(node.graph, width, f"{node.name}/turned"))  # type: ignore[arg-type]
    elif kind == "Slice":
        given = node.inputs[3] if len(node.inputs) > 3 else None
        axes = constant(given)
        axes = np.arange(constant(node.inputs[1]).size) if axes is None else axes.reshape(-1) % rank  # type: ignore[union-attr]
        moved = new_constant(node.graph, np.array([new[i] for i in axes], np.int64), f"{node.name}/axes")  # type: ignore[arg-type]
        node.resize_inputs(max(4, len(node.inputs)))
        node.replace_input_with(3, moved)


def reduced_axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction or a Squeeze: an attribute in older opsets, a constant input in newer ones."""
    if "axes" in node.attributes:
        return list(attribute(node, "axes"))
    array = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if array is None else [int(axis) for axis in array.reshape(-1)]


def _set_axes(node: ir.Node, axes: list[int]) -> None:
    if "axes" in node.attributes:
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)
    else:
        node.replace_input_with(1, new_constant(node.graph, np.array(axes, np.int64), f"{node.name}/axes"))  # type: ignore[arg-type]


def _can_be_1x1(node: ir.Node, rank: int) -> bool:
    kernel = constant(node.inputs[1])
    return rank in (4, 5) and kernel is not None and kernel.ndim == 2


def _to_1x1(node: ir.Node, rank: int, perm: Perm) -> ir.Value:
    """x W over the last axis is a 1x1 convolution over the second."""
    kernel = constant(node.inputs[1])
    assert kernel is not None
    ones = [1] * (rank - 2)
    weights = new_constant(node.graph, kernel.T.reshape(*kernel.T.shape, *ones), f"{node.name}/kernel")  # type: ignore[arg-type]
    return _instead(node, "Conv", [node.inputs[0], weights], perm, kernel_shape=ones)


def _over_last(node: ir.Node, rank: int) -> bool:
    return attribute(node, "axis", -1) % rank == rank - 1 and not any(y.uses() for y in node.outputs[1:])


def _over_channels(node: ir.Node, rank: int, perm: Perm) -> ir.Value:
    """Layer normalization over the channels where they stand second; the operator normalizes trailing axes only."""
    x, name, graph, axis = node.inputs[0], node.name, node.graph, perm.index(rank - 1)
    number = lambda value: new_constant(graph, np.float32(value), f"{name}/constant")  # type: ignore[arg-type]  # noqa: E731
    assert graph is not None

    def mean(value: ir.Value) -> ir.Value:
        if graph.opset_imports[""] < 18:
            return insert(node, "ReduceMean", [value], f"{name}/mean", axes=[axis], keepdims=1)
        axes = new_constant(graph, np.array([axis], np.int64), f"{name}/axes")
        return insert(node, "ReduceMean", [value, axes], f"{name}/mean", keepdims=1)

    centred = insert(node, "Sub", [x, mean(x)], f"{name}/centred")  # type: ignore[arg-type]
    variance = mean(insert(node, "Mul", [centred, centred], f"{name}/square"))
    shifted = insert(node, "Add", [variance, number(attribute(node, "epsilon", 1e-5))], f"{name}/shifted")
    inverse = insert(node, "Reciprocal", [insert(node, "Sqrt", [shifted], f"{name}/deviation")], f"{name}/inverse")
    y = insert(node, "Mul", [centred, inverse], f"{name}/normalized")
    for op_type, value in zip(("Mul", "Add"), node.inputs[1:], strict=False):
        array = constant(value)
        if array is not None and not (array == (op_type == "Mul")).all():
            shaped = new_constant(graph, array.reshape(-1, *[1] * (rank - 2)), f"{name}/{op_type.lower()}")
            y = insert(node, op_type, [y, shaped], f"{name}/{op_type.lower()}")
    return _take_place(node, y, perm)


def _instead(node: ir.Node, op_type: str, inputs: list, perm: Perm, **attributes: object) -> ir.Value:
    return _take_place(node, insert(node, op_type, inputs, str(node.name), None, **attributes), perm)


def _take_place(node: ir.Node, new: ir.Value, perm: Perm) -> ir.Value:
    old = node.outputs[0]
    new.type = old.type
    new.shape = None if old.shape is None else ir.Shape([old.shape[i] for i in perm])
    for use in list(old.uses()):
        use.node.replace_input_with(use.idx, new)
    return new


# What only turns from channels last to channels first: (whether it can, how).
_CHANNELS_LAST: dict[str, tuple[Callable[..., bool], Callable[..., ir.Value]]] = {
    "MatMul": (_can_be_1x1, _to_1x1),
    "LayerNormalization": (_over_last, _over_channels),
}
ONE_WAY = frozenset(_CHANNELS_LAST)
