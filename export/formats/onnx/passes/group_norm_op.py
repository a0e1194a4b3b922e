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

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, insert, new_constant, replace, static

GROUPS, DOMAIN = "Groups", "keras_norms"
LAST_COSTS = 0.6  # more than channels first, in transposes of its tensor
_WORTHWHILE = 1 << 16  # elements: below, the many small operations take longer than two transposes
_NARROW, _WIDE = 256, 2048
_HEAD = 8


def insert_groups(
    before: ir.Node,
    x: ir.Value,
    shapes: tuple[ir.Value, ir.Value],
    sizes: tuple[int, int],
    epsilon: float,
    affine: tuple[np.ndarray | None, np.ndarray | None],
    name: str,
    either: bool,
) -> ir.Value:
    """One node for a norm of `sizes`, groups and channels, on `x`; with `either` it may run with channels last.

    `shapes` are those to reshape to: of the groups, and of `x`.
    """
    graph = before.graph
    assert graph is not None
    pair = zip(affine, ("gamma", "beta"), strict=True)
    parts = [None if array is None else new_constant(graph, array, f"{name}/{part}") for array, part in pair]
    numbers = {"groups": sizes[0], "channels": sizes[1], "epsilon": epsilon, "last": 0, "either": int(either)}
    node = ir.node(GROUPS, [x, *parts, *shapes], numbers, domain=DOMAIN, name=name)
    node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = f"{name}/normalized", x.type, x.shape
    before.prepend(node)
    return node.outputs[0]


def may_be_last(node: ir.Node) -> bool:
    shape = static(node.inputs[0])  # type: ignore[arg-type]
    if not attribute(node, "either") or shape is None or len(shape) < 3 or None in shape[1:]:
        return False
    return math.prod(n or 1 for n in shape) >= _WORTHWHILE and _repeats(shape[1], shape[2:]) * shape[1] >= _NARROW  # type: ignore[operator, arg-type]


def _repeats(channels: int, image: tuple[int, ...]) -> int:
    """How many positions make a row."""
    size = math.prod(image)
    return max(k for k in range(1, max(1, _WIDE // channels) + 1) if size % k == 0)


def turn_last(node: ir.Node) -> None:
    node.attributes["last"] = ir.AttrInt64("last", 1)


def write_groups(graph: ir.Graph) -> None:
    """Put operators in the place of every node of `insert_groups`."""
    for node in [node for node in graph if node.op_type == GROUPS and node.domain == DOMAIN]:
        y = _Last(node).write() if attribute(node, "last") else _write_first(node)
        y.shape, y.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], y)


def _write_first(node: ir.Node) -> ir.Value:
    graph, x, name = node.graph, node.inputs[0], str(node.name)
    assert graph is not None
    assert x is not None
    assert x.shape is not None
    groups, channels, rank = attribute(node, "groups"), attribute(node, "channels"), len(x.shape)
    gamma, beta, to_groups, back = node.inputs[1:]
    filled = lambda n, size: new_constant(graph, np.full(size, n, np.float32), f"{name}/unit")  # noqa: E731
    epsilon = {"epsilon": attribute(node, "epsilon")}
    if groups == channels and rank > 2:
        near = near_zero(graph, node, x, range(2, rank))
        inputs = [near, gamma or filled(1, channels), beta or filled(0, channels)]
        return insert(node, "InstanceNormalization", inputs, name, x.shape, **epsilon)
    flat = insert(node, "Reshape", [x, to_groups], f"{name}/Reshape", ir.Shape([x.shape[0], groups, None]))
    near = near_zero(graph, node, flat, range(2, 3))
    inputs = [near, filled(1, groups), filled(0, groups)]
    y = insert(node, "InstanceNormalization", inputs, name, near.shape, **epsilon)
    y = insert(node, "Reshape", [y, back], f"{name}/Reshape_1", x.shape)
    if gamma is not None and beta is not None:
        inputs = [y, gamma, beta, filled(0, channels), filled(1, channels)]
        return insert(node, "BatchNormalization", inputs, f"{name}/affine", x.shape, epsilon=0.0)
    for op_type, value in (("Mul", gamma), ("Add", beta)):
        if value is not None:
            shaped = new_constant(graph, constant(value).reshape(-1, *[1] * (rank - 2)), f"{name}/{op_type}")  # type: ignore[union-attr]
            y = insert(node, op_type, [y, shaped], f"{name}/{op_type}", x.shape)
    return y


def near_zero(graph: ir.Graph, before: ir.Node, x: ir.Value, axes: range) -> ir.Value:
    """`x` less one of its values, the first of each group: any will do, for the norm takes the mean away anyway.

    ONNX Runtime's InstanceNormalization sums up in float32 and applies mean / deviation in one step: on 40000, 40001,
    40002, 40003 over 56 x 56 positions it is off by .9; less the first value it is exact to 1e-7.
    """
    name = str(before.name)
    starts, ends, along = (
        new_constant(graph, np.array(values, np.int64), f"{name}/first")
        for values in ([0] * len(axes), [1] * len(axes), list(axes))
    )
    shape = ir.Shape([1 if axis in axes else n for axis, n in enumerate(x.shape or ())])
    first = insert(before, "Slice", [x, starts, ends, along], f"{name}/first", shape)
    return insert(before, "Sub", [x, first], f"{name}/near", x.shape)


def _to(node: ir.Node, *sizes: int) -> ir.Value:
    return new_constant(node.graph, np.array(sizes, np.int64), f"{node.name}/sizes")  # type: ignore[arg-type]


class _Last:
    """Writes a norm over groups with channels last."""

    def __init__(self, node: ir.Node) -> None:
        self._node, self._name = node, str(node.name)
        shape = static(node.inputs[0]) or ()  # type: ignore[arg-type]
        self._image, channels, groups = [n or 0 for n in shape[1:]], shape[-1] or 0, attribute(node, "groups")
        self._repeats = _repeats(channels, tuple(self._image[:-1]))
        self._rows, self._width = math.prod(self._image) // (self._repeats * channels), self._repeats * channels
        self._grouped = (self._repeats, groups, channels // groups)

    def _add(self, op_type: str, *inputs: ir.Value | None, **attributes: object) -> ir.Value:
        return insert(self._node, op_type, inputs, f"{self._name}/{op_type}", None, **attributes)

    def _constant(self, array: np.ndarray | np.generic) -> ir.Value:
        return new_constant(self._node.graph, array, f"{self._name}/constant")  # type: ignore[arg-type]

    def _mean(self, rows: ir.Value, count: int) -> ir.Value:
        """Over each group, [N, 1, groups, 1]."""
        weights = self._constant(np.full((1, count), 1 / count, np.float32))
        row = self._add("Reshape", self._add("MatMul", weights, rows), _to(self._node, 0, *self._grouped))
        if self._node.graph.opset_imports[""] < 18:  # type: ignore[union-attr]
            return self._add("ReduceMean", row, axes=[1, 3], keepdims=1)
        return self._add("ReduceMean", row, _to(self._node, 1, 3), keepdims=1)

    def _spread(self, means: ir.Value) -> ir.Value:
        """One row, [N, 1, width], of what each group has one of."""
        whole = self._add("Expand", means, _to(self._node, 1, *self._grouped))
        return self._add("Reshape", whole, _to(self._node, 0, 1, self._width))

    def _repeated(self, value: ir.Value | None) -> ir.Value | None:
        return None if value is None else self._constant(np.tile(constant(value), self._repeats))  # type: ignore[arg-type]

    def write(self) -> ir.Value:
        add, node = self._add, self._node
        gamma, beta = (self._repeated(value) for value in node.inputs[1:3])
        x = add("Reshape", node.inputs[0], _to(node, 0, self._rows, self._width))
        head = -(-self._rows // _HEAD)
        first = add("Slice", x, _to(node, 0), _to(node, head), _to(node, 1))
        d = add("Sub", x, self._spread(self._mean(first, head)))
        e = self._mean(d, self._rows)
        square = self._mean(add("Mul", d, d), self._rows)
        variance = add("Relu", add("Sub", square, add("Mul", e, e)))  # a constant may give less than 0 by rounding
        shifted = add("Add", variance, self._constant(np.float32(attribute(node, "epsilon"))))
        inverse = add("Reciprocal", add("Sqrt", shifted))
        k, shift = self._spread(inverse), self._spread(add("Mul", e, inverse))
        if gamma is not None:
            k, shift = add("Mul", k, gamma), add("Mul", shift, gamma)
        shift = add("Neg", shift) if beta is None else add("Sub", beta, shift)
        y = add("Add", add("Mul", d, k), shift)
        return add("Reshape", y, _to(node, 0, *self._image))
