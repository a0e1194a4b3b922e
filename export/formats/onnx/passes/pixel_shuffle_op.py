"""Reshape, Transpose, Reshape between images: pixel and channel shuffles, one node while the layout is settled.

The first Reshape splits axes into factors, the Transpose moves these, the second Reshape merges them again. In another
layout it is the same with its axes in another order: the lists of factors trade places. What is a DepthToSpace or a
SpaceToDepth then is written as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx_ir as ir

from .ir_utils import (
    graph_of,
    input_of,
    insert,
    integer_list,
    made_by,
    new_integers,
    only_use,
    replace,
    static,
)
from .pass_types import PassOptions
from .skips import skip

SHUFFLE, DOMAIN = "PixelShuffle", "keras_norms"
_PLAN = f"{DOMAIN}.shuffle"
_LEAST_RANK = 3


@dataclass(frozen=True)
class _Plan:
    """The factors that each axis but the first is split into, and those, numbered in order, that make each new one."""

    split: list[list[int]]
    merged: list[list[int]]

    def turned(self, order: list[int]) -> _Plan:
        """With the axes behind the first in another order: new axis i is old axis order[i]."""
        begins = [sum(map(len, self.split[:i])) for i in range(len(self.split))]
        factors = [list(range(begin, begin + len(axis))) for begin, axis in zip(begins, self.split, strict=True)]
        new = {old: i for i, old in enumerate(old for axis in order for old in factors[axis])}
        merged = [[new[old] for old in self.merged[axis]] for axis in order]
        return _Plan([self.split[axis] for axis in order], merged)


def insert_pixel_shuffles(model: ir.Model, _options: PassOptions) -> None:
    """Make one node of each Reshape, Transpose and Reshape between images."""
    for last in [node for node in model.graph if node.op_type == "Reshape"]:
        move = made_by(last.inputs[0], "Transpose")
        first = made_by(move.inputs[0], "Reshape") if move is not None else None
        if move is None or first is None:
            continue
        if only_use(move.outputs[0]) is not last or only_use(first.outputs[0]) is not move:
            skip(move, "what it moves is used otherwise too")
            continue
        plan = _plan(first, move, last)
        if plan is None:
            skip(move, "the Reshapes around it do not split and merge the axes of an image of known size")
            continue
        y = last.outputs[0]
        node = ir.node(SHUFFLE, [first.inputs[0]], domain=DOMAIN, name=str(last.name))
        node.meta[_PLAN] = plan
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = f"{last.name}/regrouped", y.type, y.shape
        last.prepend(node)
        replace(y, node.outputs[0])


def _plan(first: ir.Node, move: ir.Node, last: ir.Node) -> _Plan | None:
    x, y, middle = (static(v) for v in (first.inputs[0], last.outputs[0], first.outputs[0]))
    perm = integer_list(move, "perm")
    if x is None or y is None or middle is None or len(x) != len(y) or len(x) < _LEAST_RANK or perm[:1] != [0]:
        return None
    before, after, factors = (tuple(n for n in shape[1:] if n is not None) for shape in (x, y, middle))
    known = (len(before), len(after), len(factors)) == (len(x) - 1, len(y) - 1, len(middle) - 1)
    if not known or not x[0] == middle[0] == y[0]:
        return None
    split = _groups(list(range(len(factors))), factors, before)
    merged = _groups([i - 1 for i in perm[1:]], factors, after)
    return None if split is None or merged is None else _Plan([[factors[i] for i in group] for group in split], merged)


def _groups(order: list[int], factors: tuple[int, ...], sizes: tuple[int, ...]) -> list[list[int]] | None:
    """`order` cut into one stretch for each size, of which it is the product of the factors."""
    found: list[list[int]] = []
    rest = list(order)
    for size in sizes:
        group: list[int] = []
        while rest and (math.prod(factors[i] for i in group) < size or not group):
            group.append(rest.pop(0))
        if math.prod(factors[i] for i in group) != size:
            return None
        found.append(group)
    if math.prod(factors[i] for i in rest) != 1:
        return None
    found[-1] += rest
    return found


def turn_pixel_shuffle(node: ir.Node, perm: tuple[int, ...]) -> None:
    """Let `node` work on an image whose axes stand in the order `perm`."""
    node.meta[_PLAN] = node.meta[_PLAN].turned([i - 1 for i in perm[1:]])


def write_pixel_shuffles(model: ir.Model, _options: PassOptions) -> None:
    """Put operators in the place of every node of `insert_pixel_shuffles`."""
    for node in [node for node in model.graph if node.op_type == SHUFFLE and node.domain == DOMAIN]:
        y = _write(node, node.meta[_PLAN])
        y.shape, y.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], y)


def _write(node: ir.Node, plan: _Plan) -> ir.Value:
    x, name, graph = input_of(node, 0), str(node.name), graph_of(node)
    known = _known(plan)
    if known is not None:
        op_type, attributes = known
        return insert(node, op_type, [x], name, None, **attributes)
    skip(node, "the image moves its channels otherwise than DepthToSpace and SpaceToDepth do")
    factors = [n for axis in plan.split for n in axis]
    perm = [0, *(1 + i for axis in plan.merged for i in axis)]
    sizes = [math.prod(factors[i] for i in axis) for axis in plan.merged]
    split, merged = (new_integers(graph, [0, *n], f"{name}/sizes") for n in (factors, sizes))
    y = insert(node, "Reshape", [x, split], f"{name}/split")
    y = insert(node, "Transpose", [y], f"{name}/moved", perm=perm)
    return insert(node, "Reshape", [y, merged], f"{name}/merged")


def _known(plan: _Plan) -> tuple[str, dict[str, int | str]] | None:
    """The operator that a plan of an image with channels first is."""
    lengths = tuple(map(len, plan.split))
    if lengths == (3, 1, 1):
        a, b, c = plan.split[0]
        if a == b and plan.merged == [[2], [3, 0], [4, 1]]:
            return "DepthToSpace", {"blocksize": a, "mode": "DCR"}
        if b == c and plan.merged == [[0], [3, 1], [4, 2]]:
            return "DepthToSpace", {"blocksize": b, "mode": "CRD"}
    if lengths == (1, 2, 2) and plan.split[1][1] == plan.split[2][1] and plan.merged == [[2, 4, 0], [1], [3]]:
        return "SpaceToDepth", {"blocksize": plan.split[1][1]}
    return None
