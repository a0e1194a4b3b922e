"""Small questions to an ONNX graph and small changes of it, by onnx-ir."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

AttributeValue: TypeAlias = "int | float | str | Sequence[int] | Sequence[str] | ir.Graph"
_COUNT = count()

# Constants


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of a constant, or None."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def array_of(value: ir.Value | None) -> NDArray[Any]:
    """The array of a value that is known to be a constant."""
    array = constant(value)
    assert array is not None
    return array


def integers(value: ir.Value | None) -> list[int] | None:
    """The elements of a constant as integers, or None."""
    array = constant(value)
    return None if array is None else [int(n) for n in array.reshape(-1).tolist()]


def number(array: NDArray[Any]) -> float:
    """The one element of `array`."""
    return float(array.reshape(()).item())


def scalar(value: ir.Value | None) -> float | None:
    """The number of a constant that holds a single one."""
    array = constant(value)
    return number(array) if array is not None and array.size == 1 else None


def new_constant(graph: ir.Graph, array: NDArray[Any] | np.generic, name: str) -> ir.Value:
    """Register `array` in the graph under a name like `name` that is still free."""
    unique, i = name, 0
    while unique in graph.initializers:
        unique, i = f"{name}_{i}", i + 1
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(np.shape(array)), name=unique)  # a scalar stays one
    value = ir.Value(name=unique, const_value=tensor)
    value.shape, value.dtype = ir.Shape(np.shape(array)), tensor.dtype
    graph.register_initializer(value)
    return value


def new_integers(graph: ir.Graph, numbers: Sequence[int], name: str) -> ir.Value:
    """`new_constant` of a list of integers: a shape, axes, limits."""
    return new_constant(graph, np.array(numbers, np.int64), name)


# Nodes


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that `node` stands in."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


def opset_of(graph: ir.Graph) -> int:
    return graph.opset_imports[""]


def has_input(node: ir.Node, i: int) -> bool:
    """Whether input `i` of `node` is given."""
    return len(node.inputs) > i and node.inputs[i] is not None


def input_of(node: ir.Node, i: int) -> ir.Value:
    """Input `i` of `node`, which the operation cannot do without."""
    value = node.inputs[i]
    assert value is not None
    return value


def made_by(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The node that makes `value`, if it is one of these operations."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type in op_types else None


def only_use(value: ir.Value | None, *op_types: str) -> ir.Node | None:
    """The one node that uses `value`, if it is one of these operations, where any are named.

    None where there are more, or `value` is an output of the graph.
    """
    uses = list(value.uses()) if value is not None else []
    if value is None or len(uses) != 1 or value.is_graph_output():
        return None
    return uses[0].node if not op_types or uses[0].node.op_type in op_types else None


def operand(node: ir.Node, op_type: str) -> tuple[ir.Node, ir.Value] | None:
    """The input of a commutative node that `op_type` makes, and the other input."""
    for i in (0, 1):
        found, other = made_by(node.inputs[i], op_type), node.inputs[1 - i]
        if found is not None and other is not None:
            return found, other
    return None


def with_constant(node: ir.Node | None) -> tuple[ir.Value, NDArray[Any]] | None:
    """The computed and the constant operand of a binary node with one of each."""
    if node is None or len(node.inputs) < 2:
        return None
    for i in (0, 1):
        array, other = constant(node.inputs[i]), node.inputs[1 - i]
        if array is not None and other is not None and constant(other) is None:
            return other, array
    return None


# Attributes


def integer(node: ir.Node, name: str, default: int) -> int:
    found = node.attributes.get(name)
    return default if found is None else found.as_int()


def integer_list(node: ir.Node, name: str, default: Sequence[int] = ()) -> list[int]:
    found = node.attributes.get(name)
    return list(default if found is None else found.as_ints())


def text(node: ir.Node, name: str, default: str = "") -> str:
    found = node.attributes.get(name)
    return default if found is None else found.as_string()


def real(node: ir.Node, name: str, default: float) -> float:
    found = node.attributes.get(name)
    return default if found is None else found.as_float()


def bodies(node: ir.Node) -> list[ir.Graph]:
    """The graphs inside of `node`: the branches of an If, the body of a Loop."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


# Shapes


def static(value: ir.Value | None) -> tuple[int | None, ...] | None:
    """The shape with None for a free size; None where the rank is unknown."""
    if value is None or value.shape is None:
        return None
    return tuple(n if isinstance(n, int) else None for n in value.shape)


def rank_of(value: ir.Value | None) -> int:
    """The number of axes; 0 where that is unknown."""
    return 0 if value is None or value.shape is None else len(value.shape)


def permuted(shape: ir.Shape | None, perm: Sequence[int]) -> ir.Shape | None:
    """The shape of what a Transpose by `perm` makes of a value."""
    return None if shape is None else ir.Shape([shape[i] for i in perm])


def reduced_axes(node: ir.Node) -> list[int] | None:
    """The axes of a reduction or a Squeeze: an attribute in older opsets, a constant input in newer ones."""
    if "axes" in node.attributes:
        return integer_list(node, "axes")
    return integers(node.inputs[1]) if len(node.inputs) > 1 else None


# Changes


def insert(
    before: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    name: str,
    shape: ir.Shape | None = None,
    **attributes: AttributeValue,
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
    """Use `new`, the same numbers, wherever `old` is used, as an output of the graph too, whose name it then takes."""
    if new.shape is None:
        new.shape = old.shape
    if old.is_graph_output():
        if new.is_graph_output() or new.is_graph_input() or new.is_initializer():  # it has a name to keep
            node = ir.node("Identity", [new], name=f"{old.name}/Identity")
            assert new.graph is not None
            new.graph.append(node)
            node.outputs[0].shape, node.outputs[0].type = new.shape, new.type
            new = node.outputs[0]
        old.name, new.name = new.name or f"{old.name}.{next(_COUNT)}", old.name
        new.shape, new.type = old.shape or new.shape, old.type or new.type
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def set_integers(node: ir.Node, name: str, numbers: Sequence[int]) -> None:
    node.attributes[name] = ir.AttrInt64s(name, list(numbers))


def set_slice_axes(node: ir.Node, axes: Sequence[int]) -> None:
    """Let a Slice work along `axes`; ONNX has them of the type of its limits."""
    limits = node.inputs[1]
    dtype = np.int64 if limits is None or limits.dtype is None else limits.dtype.numpy()
    node.resize_inputs(max(4, len(node.inputs)))
    node.replace_input_with(3, new_constant(graph_of(node), np.array(axes, dtype), f"{node.name}/axes"))


def set_axes(node: ir.Node, axes: Sequence[int]) -> None:
    """Let a reduction or a Squeeze work along `axes`, told as its opset tells them."""
    if "axes" in node.attributes:
        set_integers(node, "axes", axes)
    else:
        node.replace_input_with(1, new_integers(graph_of(node), axes, f"{node.name}/axes"))
