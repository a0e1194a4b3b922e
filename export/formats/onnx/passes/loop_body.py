"""What the values inside of a loop are, seen from one step of it: shared weights, products, the step's input."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .ir_utils import (
    bodies,
    constant,
    has_input,
    input_of,
    insert,
    integer,
    integers,
    made_by,
    real,
    replace,
    scalar,
    static,
)


class Linear(NamedTuple):
    """x kernel + bias."""

    x: ir.Value
    kernel: NDArray[Any]
    bias: NDArray[Any]


class LoopBody:
    """The body of a Loop; `carried` are the values that go from step to step, `results` theirs, and then the scans."""

    def __init__(self, node: ir.Node) -> None:
        self.node = node
        self.body = bodies(node)[0]
        _take_apart(self.body)
        self.carried = list(self.body.inputs)[2:]
        self.results = [behind(value) for value in list(self.body.outputs)[1:]]

    def linear(self, value: ir.Value) -> Linear | None:
        """`value` as x kernel + bias with a kernel and a bias that every step shares, or a piece of one."""
        node = behind(value).producer()
        if node is None:
            return None
        if node.op_type == "MatMul":
            kernel = self._shared(node.inputs[1])
            if kernel is None or kernel.ndim != 2:
                return None
            return Linear(behind(input_of(node, 0)), kernel, np.zeros(kernel.shape[1], kernel.dtype))
        if node.op_type == "Add":
            for a, b in ((0, 1), (1, 0)):
                part, bias = self.linear(input_of(node, a)), self._shared(node.inputs[b])
                if part is not None and bias is not None and bias.size == part.bias.size:
                    return part._replace(bias=part.bias + bias.reshape(-1))
        if node.op_type in ("Slice", "Split"):
            return self._linear_piece(node, value)
        return None

    def _linear_piece(self, node: ir.Node, value: ir.Value) -> Linear | None:
        part = self.linear(input_of(node, 0))
        kernel = _piece(node, value, part.kernel) if part is not None else None
        bias = _piece(node, value, part.bias[None]) if part is not None else None
        if part is None or kernel is None or bias is None or len(kernel) != len(part.kernel) or len(bias) != 1:
            return None
        return Linear(part.x, kernel, bias[0])

    def _shared(self, value: ir.Value | None) -> NDArray[Any] | None:
        """The array of what is the same in every step."""
        if value is None:
            return None
        value = self._outside(behind(value))
        node = value.producer()
        if node is None or constant(value) is not None:
            return constant(value)
        if node.op_type not in ("Slice", "Split", "Squeeze"):
            return None
        array = self._shared(node.inputs[0])
        if array is None or node.op_type == "Squeeze":  # of a bias: its sizes of 1 do not matter
            return array
        return _piece(node, value, array)

    def _outside(self, value: ir.Value) -> ir.Value:
        """What an input of the body that stays as it is comes from; another value is itself."""
        for i, carried in enumerate(self.carried):
            if value is carried and self.results[i] is carried:
                return input_of(self.node, i + 2)
        return value

    def sequence(self, x: ir.Value) -> ir.Value | None:
        """The tensor of which step after step is `x`, if the loop goes through all of it."""
        gather = made_by(x, "Gather")
        if gather is None or integer(gather, "axis", 0) != 0:
            return None
        index, sequence = behind(input_of(gather, 1)), self._outside(behind(input_of(gather, 0)))
        i = next((i for i, carried in enumerate(self.carried) if carried is index), None)
        if i is None or sequence.graph is self.body:
            return None
        following = made_by(self.results[i], "Add")
        added = following.inputs if following is not None else ()
        one = [scalar(v) for v in added if v is not None and behind(v) is not index]
        if one != [1.0] or scalar(self.node.inputs[i + 2]) != 0.0:
            return None
        steps = (static(sequence) or (None,))[0]
        limits = [scalar(node.inputs[1]) for node in self.body if node.op_type == "Less"]
        return sequence if limits and all(limit is None or limit == steps for limit in limits) else None


def behind(value: ir.Value) -> ir.Value:
    """`value` without the identities that pass it on."""
    while (node := made_by(value, "Identity")) is not None:
        value = input_of(node, 0)
    return value


def both_orders(
    value: ir.Value, op_type: str, first: str | None = None, second: tuple[str, ...] = ()
) -> list[tuple[ir.Value, ir.Value]]:
    """The operands of a commutative operation in either order, as far as they come from the operations named."""
    node = made_by(behind(value), op_type)
    if node is None:
        return []
    a, b = behind(input_of(node, 0)), behind(input_of(node, 1))
    pairs = [(p, q) for p, q in ((a, b), (b, a)) if first is None or made_by(p, first) is not None]
    return [(p, q) for p, q in pairs if not second or made_by(q, *second) is not None]


def _take_apart(body: ir.Graph) -> None:
    """Gemm is MatMul and Add; where the batch is known, tf2onnx writes it even for the sum of two products."""
    for node in [node for node in body if node.op_type == "Gemm" and len(node.inputs) == 3]:
        turned = integer(node, "transA", 0) or integer(node, "transB", 0)
        if not turned and real(node, "alpha", 1.0) == real(node, "beta", 1.0) == 1.0:
            shape = node.outputs[0].shape
            product = insert(node, "MatMul", node.inputs[:2], f"{node.name}/MatMul", shape)
            replace(node.outputs[0], insert(node, "Add", [product, node.inputs[2]], f"{node.name}/Add", shape))
            body.remove(node, safe=True)


def _piece(node: ir.Node, value: ir.Value, array: NDArray[Any]) -> NDArray[Any] | None:
    """What a Slice or an even Split makes of `array`."""
    if node.op_type == "Split":
        axis, parts = integer(node, "axis", 0) % array.ndim, len(node.outputs)
        sizes = integers(node.inputs[1]) if has_input(node, 1) else None
        if array.shape[axis] % parts or (sizes is not None and len({*sizes}) > 1):
            return None
        which = [y is behind(value) for y in node.outputs].index(True)
        return np.split(array, parts, axis)[which]
    given = [found for v in node.inputs[1:] if (found := integers(v)) is not None]
    if len(given) < len(node.inputs) - 1 or (len(given) > 3 and set(given[3]) != {1}):
        return None
    starts, ends = given[:2]
    axes = given[2] if len(given) > 2 else range(len(starts))
    for axis, start, end in zip(axes, starts, ends, strict=True):
        array = array[(slice(None),) * (axis % array.ndim) + (slice(start, end),)]
    return array
