"""A norm in the graph, found by what it computes.

y = z / sqrt(mean(z^2) + epsilon)        z = x - mean(x), or x itself        then perhaps  y gamma + beta
"""

from __future__ import annotations

from typing import Any, NamedTuple

import onnx_ir as ir
from numpy.typing import NDArray

from .ir_utils import (
    constant,
    input_of,
    insert,
    made_by,
    number,
    only_use,
    operand,
    reduced_axes,
    replace,
    with_constant,
)
from .skips import skip


class NormCore(NamedTuple):
    """y = (x - mean) / sqrt(variance + epsilon), or without the mean, over `axes`."""

    x: ir.Value
    z: ir.Value  # x - mean, or x
    mean: ir.Node  # of z^2
    root: ir.Value  # sqrt(variance + epsilon)
    last: ir.Node  # makes y
    epsilon: float
    axes: tuple[int, ...]
    centred: bool


class Affine(NamedTuple):
    """gamma and beta behind a norm, where there are, and the last node of these."""

    gamma: NDArray[Any] | None
    beta: NDArray[Any] | None
    last: ir.Node
    scaled: ir.Node  # the last node before beta


def find_norm(last: ir.Node) -> NormCore | None:
    """`last` = z * (1 / sqrt(mean(z * z) + epsilon))."""
    found = operand(last, "Reciprocal")
    if found is None:
        return None
    (reciprocal, z), root = found, input_of(found[0], 0)
    squares = made_by(root, "Sqrt")
    shifted = with_constant(made_by(squares.inputs[0], "Add")) if squares is not None else None
    mean = made_by(shifted[0], "ReduceMean") if shifted is not None else None
    square = made_by(mean.inputs[0], "Mul") if mean is not None else None
    if shifted is None or mean is None or square is None or shifted[1].size != 1:
        skip(reciprocal, "what it divides by is no root of a mean of squares and an epsilon")
        return None
    if square.inputs[0] is not z or square.inputs[1] is not z or reduced_axes(mean) is None or z.shape is None:
        skip(reciprocal, "the squares are of something else than what is divided, or the axes are not known")
        return None
    axes, epsilon = _axes(mean, len(z.shape)), number(shifted[1])
    minus = made_by(z, "Sub")
    centre = made_by(minus.inputs[1], "ReduceMean") if minus is not None else None
    centred = centre is not None and minus is not None and centre.inputs[0] is minus.inputs[0]
    if minus is None or centre is None or not centred or _axes(centre, len(z.shape)) != axes:
        return NormCore(z, z, mean, root, last, epsilon, axes, False)
    return NormCore(input_of(minus, 0), z, mean, root, last, epsilon, axes, True)


def _axes(mean: ir.Node, rank: int) -> tuple[int, ...]:
    return tuple(sorted(axis % rank for axis in reduced_axes(mean) or ()))


def find_affine(last: ir.Node, shape: tuple[int | None, ...]) -> Affine:
    """gamma and beta behind `last`, where they are constants that fit into `shape`."""
    found: dict[str, NDArray[Any]] = {}
    scaled = last
    for op_type in ("Mul", "Add"):
        node = only_use(last.outputs[0], op_type)
        pair = with_constant(node)
        if node is not None and pair is not None and _fits(pair[1].shape, shape):
            found[op_type], last = pair[1], node
        scaled = last if op_type == "Mul" else scaled
    return Affine(found.get("Mul"), found.get("Add"), last, scaled)


def _fits(small: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    padded = (1,) * (len(shape) - len(small)) + small
    return len(padded) == len(shape) and all(a in (1, b) for a, b in zip(padded, shape, strict=True))


def scale_last(graph: ir.Graph) -> None:
    """x (r gamma) as (x r) gamma: TensorFlow's optimizer moves a constant inwards."""
    for node in [node for node in graph if node.op_type == "Mul"]:
        for i in (0, 1):
            inner, x = made_by(node.inputs[i], "Mul"), node.inputs[1 - i]
            found = with_constant(inner)
            if inner is None or found is None or made_by(found[0], "Reciprocal") is None:
                continue
            if only_use(inner.outputs[0]) is not node:
                continue
            if x is not None and constant(x) is None:
                gamma = inner.inputs[1] if inner.inputs[0] is found[0] else inner.inputs[0]
                y = insert(node, "Mul", [x, found[0]], f"{node.name}/normalized", x.shape)
                node.replace_input_with(0, y)
                node.replace_input_with(1, gamma)
            break


def take_place(y: ir.Value, last: ir.Node) -> None:
    """Use `y` for what `last` makes, of the same shape and type."""
    y.shape, y.type = last.outputs[0].shape, last.outputs[0].type
    replace(last.outputs[0], y)
