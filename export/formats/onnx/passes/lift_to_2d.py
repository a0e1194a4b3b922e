"""How an operation on [N, C, L] or [N, L, C] is written on images of one row, one handler for each kind.

`row` is where the row goes: the axis in front of which the new one of one element stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from .ir_utils import (
    array_of,
    constant,
    graph_of,
    has_input,
    input_of,
    integer,
    integer_list,
    integers,
    new_constant,
    rank_of,
    reduced_axes,
    set_axes,
    set_integers,
    set_slice_axes,
)
from .permute_op import REDUCE, turnable

SERIES = 3  # the rank of a series
SPATIAL = ("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool")
NORMS = ("BatchNormalization", "InstanceNormalization")
OVER_LAST = ("LayerNormalization", "MatMul")
_ALONG = {"dilations": 1, "kernel_shape": 1, "output_padding": 0, "strides": 1}
_AXIS = ("Concat", "Split", "Softmax", "LogSoftmax", "Hardmax")
Kernels: TypeAlias = "dict[ir.Value, ir.Value]"  # of two dimensions, by those of one: a shared one is stored once


def liftable(node: ir.Node) -> bool:
    """Whether `lift` knows how to rewrite `node`."""
    kind, series = node.op_type, bool(node.inputs) and rank_of(node.inputs[0]) == SERIES
    if any(y.shape is None for y in node.outputs):
        return False
    if kind == "Transpose":
        return series and integer_list(node, "perm") == [0, 2, 1]
    if kind in SPATIAL:
        fixed = len(node.inputs) < 2 or constant(node.inputs[1]) is not None
        return series and fixed and len(node.outputs) == 1 and "output_shape" not in node.attributes
    if kind in NORMS:
        return series
    if kind == "MatMul":
        return series and constant(node.inputs[1]) is not None and rank_of(node.inputs[1]) == 2
    if kind == "LayerNormalization":
        return series and integer(node, "axis", -1) in (-1, 2) and len(node.outputs) == 1
    ranks = {rank_of(v) for v in node.inputs if v is not None and constant(v) is None}
    if kind.startswith("Reduce"):
        return ranks == {SERIES} and reduced_axes(node) is not None
    return SERIES in ranks and turnable(node, SERIES)


def lift(node: ir.Node, row: int, kernels: Kernels) -> None:
    """Rewrite `node` for values of one axis more."""
    if node.op_type in SPATIAL:
        _lift_spatial(node, kernels)
    elif node.op_type not in (*NORMS, *OVER_LAST):
        _HANDLERS.get(node.op_type, _lift_constants)(node, row)


def _shifted(axis: int, row: int) -> int:
    return (axis % SERIES) + (axis % SERIES >= row)


def _lift_spatial(node: ir.Node, kernels: Kernels) -> None:
    for key, one in _ALONG.items():
        if key in node.attributes:
            set_integers(node, key, [one, *integer_list(node, key)])
    if "pads" in node.attributes:
        before, after = integer_list(node, "pads")
        set_integers(node, "pads", [0, before, 0, after])
    if len(node.inputs) > 1:
        kernel = input_of(node, 1)
        if kernel not in kernels:
            kernels[kernel] = new_constant(graph_of(node), array_of(kernel)[:, :, None], f"{node.name}/kernel")
        node.replace_input_with(1, kernels[kernel])


def _lift_transpose(node: ir.Node, row: int) -> None:
    set_integers(node, "perm", [0, 2, 3, 1] if row == 2 else [0, 3, 1, 2])


def _lift_reduction(node: ir.Node, row: int) -> None:
    set_axes(node, sorted([*(_shifted(axis, row) for axis in reduced_axes(node) or ()), row]))


def _lift_axis(node: ir.Node, row: int) -> None:
    default = 0 if node.op_type == "Split" else -1
    node.attributes["axis"] = ir.AttrInt64("axis", _shifted(integer(node, "axis", default), row))


def _lift_widths(node: ir.Node, row: int) -> None:
    widths = array_of(node.inputs[1]).reshape(-1, SERIES)
    lifted = np.insert(widths, row, 0 if node.op_type == "Pad" else 1, axis=1).reshape(-1)
    node.replace_input_with(1, new_constant(graph_of(node), lifted, f"{node.name}/widths"))


def _lift_slice(node: ir.Node, row: int) -> None:
    old = integers(node.inputs[3]) if has_input(node, 3) else list(range(array_of(node.inputs[1]).size))
    set_slice_axes(node, [_shifted(axis, row) for axis in old or ()])


def _lift_constants(node: ir.Node, row: int) -> None:
    """An operation on each element: its constants get the row too, where they reach so far."""
    for i, value in enumerate(node.inputs):
        array = constant(value)
        place = row - SERIES + array.ndim if array is not None else 0
        if array is not None and place > 0:
            lifted = np.expand_dims(array, place)
            node.replace_input_with(i, new_constant(graph_of(node), lifted, f"{node.name}/image"))


_HANDLERS: dict[str, Callable[[ir.Node, int], None]] = {
    **dict.fromkeys(REDUCE, _lift_reduction),
    **dict.fromkeys(_AXIS, _lift_axis),
    **dict.fromkeys(("Pad", "Tile", "Expand"), _lift_widths),
    "Slice": _lift_slice,
    "Transpose": _lift_transpose,
}
