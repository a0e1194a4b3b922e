"""Group norm while the layout is settled, one node that may stand in either, and what it is written as then.

Channels first: Reshape to [N, groups, elements], less one value of each group, InstanceNormalization, Reshape back, and
gamma and beta by a BatchNormalization with a mean of 0 and a variance of 1, in one pass; instance norm needs neither
Reshape. All are older than any opset in use.

Channels last: nothing of the image's size is moved. Rows of at least `_WIDE` values, whole positions each, are averaged
by a product with 1/rows, and only such a row is regrouped, averaged over each group and spread again:

    p = mean of the first rows        d = x - p        e = mean(d)        variance = mean(d^2) - e^2
    y = d k + (beta - e k)            k = gamma / sqrt(variance + epsilon)

Each mean is a group's own, so nothing of one group meets another. With an eighth of the rows in p, e^2 is at most seven
times the variance, whatever x is: the difference loses three bits at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .ir_utils import (
    AttributeValue,
    array_of,
    graph_of,
    input_of,
    insert,
    integer,
    new_constant,
    new_integers,
    opset_of,
    real,
    replace,
    static,
)
from .pass_types import PassOptions
from .skips import skip

GROUPS, DOMAIN = "Groups", "keras_norms"
LAST_COSTS = 0.6  # more than channels first, in transposes of its tensor
_WORTHWHILE = 1 << 16  # elements: below, the many small operations take longer than two transposes
_NARROW, _WIDE = 256, 2048
_HEAD = 8
_AXES_ARE_INPUTS = 18  # the opset since which a reduction has its axes as an input


@dataclass(frozen=True)
class GroupNorm:
    """What a norm over groups computes; `either`: it may run with channels last."""

    groups: int
    channels: int
    epsilon: float
    gamma: NDArray[Any] | None
    beta: NDArray[Any] | None
    either: bool


def insert_group_norm(
    before: ir.Node, x: ir.Value, shapes: tuple[ir.Value, ir.Value], norm: GroupNorm, name: str
) -> ir.Value:
    """One node for `norm` of `x`. `shapes` are those to reshape to: of the groups, and of `x`."""
    graph = graph_of(before)
    pair = zip((norm.gamma, norm.beta), ("gamma", "beta"), strict=True)
    parts = [None if array is None else new_constant(graph, array, f"{name}/{part}") for array, part in pair]
    numbers: dict[str, int | float] = {"groups": norm.groups, "channels": norm.channels, "epsilon": norm.epsilon}
    numbers |= {"last": 0, "either": int(norm.either)}
    node = ir.node(GROUPS, [x, *parts, *shapes], numbers, domain=DOMAIN, name=name)
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = f"{name}/normalized", x.type, x.shape
    before.prepend(node)
    return node.outputs[0]


def may_be_last(node: ir.Node) -> bool:
    """Whether the norm of `node` may run with channels last, and is large enough to gain from it."""
    shape = static(node.inputs[0])
    if not integer(node, "either", 0) or shape is None or len(shape) < 3:
        skip(node, "it may not run with channels last: its products would be quantized, or it is no image")
        return False
    image = [n for n in shape[1:] if n is not None]
    if len(image) < len(shape) - 1:
        skip(node, "a size of the image is free")
        return False
    width = _repeats(image[0], tuple(image[1:])) * image[0]
    large = math.prod(n or 1 for n in shape) >= _WORTHWHILE and width >= _NARROW
    if not large:
        skip(node, "the image is too small, or its rows too narrow, to gain from channels last")
    return large


def _repeats(channels: int, image: tuple[int, ...]) -> int:
    """How many positions make a row."""
    size = math.prod(image)
    return max(k for k in range(1, max(1, _WIDE // channels) + 1) if size % k == 0)


def turn_last(node: ir.Node) -> None:
    """Let the norm of `node` run with channels last."""
    node.attributes["last"] = ir.AttrInt64("last", 1)


def write_group_norms(model: ir.Model, _options: PassOptions) -> None:
    """Put operators in the place of every node of `insert_group_norm`."""
    for node in [node for node in model.graph if node.op_type == GROUPS and node.domain == DOMAIN]:
        if integer(node, "last", 0):
            y = _ChannelsLast(node).write()
        elif integer(node, "groups", 0) == integer(node, "channels", 0) and len(input_of(node, 0).shape or ()) > 2:
            y = _write_instances(node)
        else:
            y = _write_groups(node)
        y.shape, y.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], y)


def _filled(node: ir.Node, value: float, size: int) -> ir.Value:
    return new_constant(graph_of(node), np.full(size, value, np.float32), f"{node.name}/unit")


def _write_instances(node: ir.Node) -> ir.Value:
    """Channels first, each channel a group."""
    x, name, channels = input_of(node, 0), str(node.name), integer(node, "channels", 0)
    near = near_zero(graph_of(node), node, x, range(2, len(x.shape or ())))
    inputs = [near, node.inputs[1] or _filled(node, 1, channels), node.inputs[2] or _filled(node, 0, channels)]
    return insert(node, "InstanceNormalization", inputs, name, x.shape, epsilon=real(node, "epsilon", 0.0))


def _write_groups(node: ir.Node) -> ir.Value:
    """Channels first, several channels a group."""
    x, name, graph = input_of(node, 0), str(node.name), graph_of(node)
    assert x.shape is not None
    groups, channels, rank = integer(node, "groups", 0), integer(node, "channels", 0), len(x.shape)
    gamma, beta, to_groups, back = node.inputs[1:]
    flat = insert(node, "Reshape", [x, to_groups], f"{name}/Reshape", ir.Shape([x.shape[0], groups, None]))
    near = near_zero(graph, node, flat, range(2, 3))
    inputs: list[ir.Value | None] = [near, _filled(node, 1, groups), _filled(node, 0, groups)]
    y = insert(node, "InstanceNormalization", inputs, name, near.shape, epsilon=real(node, "epsilon", 0.0))
    y = insert(node, "Reshape", [y, back], f"{name}/Reshape_1", x.shape)
    if gamma is not None and beta is not None:
        inputs = [y, gamma, beta, _filled(node, 0, channels), _filled(node, 1, channels)]
        return insert(node, "BatchNormalization", inputs, f"{name}/affine", x.shape, epsilon=0.0)
    for op_type, value in (("Mul", gamma), ("Add", beta)):
        if value is not None:
            shaped = new_constant(graph, array_of(value).reshape(-1, *[1] * (rank - 2)), f"{name}/{op_type}")
            y = insert(node, op_type, [y, shaped], f"{name}/{op_type}", x.shape)
    return y


def near_zero(graph: ir.Graph, before: ir.Node, x: ir.Value, axes: range) -> ir.Value:
    """`x` less one of its values, the first of each group: any will do, for the norm takes the mean away anyway.

    ONNX Runtime's InstanceNormalization sums up in float32 and applies mean / deviation in one step: on 40000, 40001,
    40002, 40003 over 56 x 56 positions it is off by .9; less the first value it is exact to 1e-7.
    """
    name = str(before.name)
    lists = [0] * len(axes), [1] * len(axes), list(axes)
    starts, ends, along = (new_integers(graph, values, f"{name}/first") for values in lists)
    shape = ir.Shape([1 if axis in axes else n for axis, n in enumerate(x.shape or ())])
    first = insert(before, "Slice", [x, starts, ends, along], f"{name}/first", shape)
    return insert(before, "Sub", [x, first], f"{name}/near", x.shape)


class _ChannelsLast:
    """Writes a norm over groups with channels last."""

    def __init__(self, node: ir.Node) -> None:
        self._node, self._name, self._graph = node, str(node.name), graph_of(node)
        shape = static(node.inputs[0]) or ()
        self._image, channels, groups = [n or 0 for n in shape[1:]], shape[-1] or 0, integer(node, "groups", 0)
        self._repeats = _repeats(channels, tuple(self._image[:-1]))
        self._rows, self._width = math.prod(self._image) // (self._repeats * channels), self._repeats * channels
        self._grouped = (self._repeats, groups, channels // groups)

    def _add(self, op_type: str, *inputs: ir.Value | None, **attributes: AttributeValue) -> ir.Value:
        return insert(self._node, op_type, inputs, f"{self._name}/{op_type}", None, **attributes)

    def _to(self, *sizes: int) -> ir.Value:
        return new_integers(self._graph, sizes, f"{self._name}/sizes")

    def _constant(self, array: NDArray[Any] | np.generic) -> ir.Value:
        return new_constant(self._graph, array, f"{self._name}/constant")

    def _mean(self, rows: ir.Value, count: int) -> ir.Value:
        """Over each group, [N, 1, groups, 1]."""
        weights = self._constant(np.full((1, count), 1 / count, np.float32))
        row = self._add("Reshape", self._add("MatMul", weights, rows), self._to(0, *self._grouped))
        if opset_of(self._graph) < _AXES_ARE_INPUTS:
            return self._add("ReduceMean", row, axes=[1, 3], keepdims=1)
        return self._add("ReduceMean", row, self._to(1, 3), keepdims=1)

    def _spread(self, means: ir.Value) -> ir.Value:
        """One row, [N, 1, width], of what each group has one of."""
        whole = self._add("Expand", means, self._to(1, *self._grouped))
        return self._add("Reshape", whole, self._to(0, 1, self._width))

    def _repeated(self, value: ir.Value | None) -> ir.Value | None:
        return None if value is None else self._constant(np.tile(array_of(value), self._repeats))

    def write(self) -> ir.Value:
        add, node = self._add, self._node
        gamma, beta = (self._repeated(value) for value in node.inputs[1:3])
        x = add("Reshape", node.inputs[0], self._to(0, self._rows, self._width))
        head = -(-self._rows // _HEAD)
        first = add("Slice", x, self._to(0), self._to(head), self._to(1))
        d = add("Sub", x, self._spread(self._mean(first, head)))
        e = self._mean(d, self._rows)
        square = self._mean(add("Mul", d, d), self._rows)
        variance = add("Relu", add("Sub", square, add("Mul", e, e)))  # a constant may give less than 0 by rounding
        shifted = add("Add", variance, self._constant(np.float32(real(node, "epsilon", 0.0))))
        inverse = add("Reciprocal", add("Sqrt", shifted))
        k, shift = self._spread(inverse), self._spread(add("Mul", e, inverse))
        if gamma is not None:
            k, shift = add("Mul", k, gamma), add("Mul", shift, gamma)
        shift = add("Neg", shift) if beta is None else add("Sub", beta, shift)
        y = add("Add", add("Mul", d, k), shift)
        return add("Reshape", y, self._to(0, *self._image))
