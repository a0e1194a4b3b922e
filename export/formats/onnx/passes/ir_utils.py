"""Small questions to an ONNX graph and small changes of it, by onnx-ir."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import onnx_ir as ir

_COUNT = count()


def constant(value: ir.Value | None) -> np.ndarray | None:
    """The array of a constant, or None."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def scalar(value: ir.Value | None) -> float | None:
    """The number of a constant that holds a single one."""
    array = constant(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def new_constant(graph: ir.Graph, array: np.ndarray | np.generic, name: str) -> ir.Value:
    """Register `array` in the graph under a name like `name` that is still free."""
    unique, i = name, 0
    while unique in graph.initializers:
        unique, i = f"{name}_{i}", i + 1
    array = np.ascontiguousarray(array).reshape(np.shape(array))  # a scalar stays one
    value = ir.Value(name=unique, const_value=ir.tensor(array, name=unique))
    value.shape, value.dtype = ir.Shape(array.shape), value.const_value.dtype  # type: ignore[union-attr]
    graph.register_initializer(value)
    return value


def insert(
    before: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    shape: ir.Shape | None = None,
    **attributes: Any,
) -> ir.Value:
    """A new node with one output in front of `before`; its output."""
    node = ir.node(op_type, list(inputs), attributes, name=name)
    node.outputs[0].name = f"{name}.{next(_COUNT)}"  # tidied at the end
    node.outputs[0].shape = shape
    of_inputs = next((v.type for v in inputs if v is not None and v.type is not None), None)
    node.outputs[0].type = ir.TensorType(ir.DataType.INT64) if op_type == "Shape" else of_inputs
    before.prepend(node)
    return node.outputs[0]


def replace(old: ir.Value, new: ir.Value) -> None:
    """Use `new` wherever `old` is used, as an output of the graph too, whose name it then takes."""
    if old.is_graph_output():
        if new.is_graph_output() or new.is_graph_input() or new.is_initializer():  # it has a name to keep
            node = ir.node("Identity", [new], name=f"{old.name}/Identity")
            new.graph.append(node)  # type: ignore[union-attr]
            node.outputs[0].shape, node.outputs[0].type = new.shape, new.type
            new = node.outputs[0]
        old.name, new.name = new.name or f"{old.name}.{next(_COUNT)}", old.name
        new.shape, new.type = old.shape or new.shape, old.type or new.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def only_use(value: ir.Value) -> ir.Node | None:
    """The one node that uses `value`, or None where there are more, or it is an output of the graph."""
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def made_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that makes `value`, if it is one of these operations."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in op_types else None


def operand(node: ir.Node, op_type: str) -> tuple[ir.Node, ir.Value] | None:
    """The input of a commutative node that `op_type` makes, and the other input."""
    for i in (0, 1):
        found = made_by(node.inputs[i], op_type)
        if found is not None:
            return found, node.inputs[1 - i]  # type: ignore[return-value]
    return None


def with_constant(node: ir.Node) -> tuple[ir.Value, np.ndarray] | None:
    """The computed and the constant operand of a binary node with one of each."""
    for i in (0, 1):
        array = constant(node.inputs[i])
        other = node.inputs[1 - i]
        if array is not None and other is not None and constant(other) is None:
            return other, array
    return None


def attribute(node: ir.Node, name: str, default: Any = None) -> Any:
    found = node.attributes.get(name)
    return default if found is None else found.value


def static(value: ir.Value) -> tuple[int | None, ...] | None:
    """The shape with None for a free size; None where the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(n if isinstance(n, int) else None for n in value.shape)
