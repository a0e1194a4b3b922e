"""Reshape, Transpose, Reshape between images: pixel and channel shuffles, one node while the layout is settled.

The first Reshape splits axes into factors, the Transpose moves these, the second Reshape merges them again. In another
layout it is the same with its axes in another order: the lists of factors trade places. What is a DepthToSpace or a
SpaceToDepth then is written as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, insert, made_by, new_constant, only_use, replace, static

REGROUP, DOMAIN = "Regroup", "keras_norms"
_PLAN = f"{DOMAIN}.regroup"
_LEAST_RANK = 3


@dataclass
class _Plan:
    """The factors that each axis but the first is split into, and those, numbered in order, that make each new one."""

    split: list[list[int]]
    merged: list[list[int]]

    def turned(self, order: list[int]) -> _Plan:
        """With the axes behind the first in another order: new axis i is old axis order[i]."""
        begins = np.cumsum([0, *map(len, self.split)])
        factors = [list(range(begins[i], begins[i + 1])) for i in range(len(self.split))]
        new = {old: i for i, old in enumerate(old for axis in order for old in factors[axis])}
        merged = [[new[old] for old in self.merged[axis]] for axis in order]
        return _Plan([self.split[axis] for axis in order], merged)


def insert_regroups(graph: ir.Graph) -> None:
    for last in [node for node in graph if node.op_type == "Reshape"]:
        move = made_by(last.inputs[0], "Transpose")
        first = made_by(move.inputs[0], "Reshape") if move is not None else None
        if first is None or only_use(move.outputs[0]) is not last or only_use(first.outputs[0]) is not move:  # type: ignore[union-attr]
            continue
        plan = _plan(first, move, last)  # type: ignore[arg-type]
        x, y = first.inputs[0], last.outputs[0]
        if plan is None or x is None:
            continue
        node = ir.node(REGROUP, [x], domain=DOMAIN, name=str(last.name))
        node.meta[_PLAN] = plan
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = f"{last.name}/regrouped", y.type, y.shape
        last.prepend(node)
        replace(y, node.outputs[0])


def _plan(first: ir.Node, move: ir.Node, last: ir.Node) -> _Plan | None:
    x, y, middle = (static(v) for v in (first.inputs[0], last.outputs[0], first.outputs[0]))  # type: ignore[arg-type]
    perm = list(attribute(move, "perm", ()))
    if x is None or y is None or middle is None or len(x) != len(y) or len(x) < _LEAST_RANK or perm[:1] != [0]:
        return None
    if None in (*x[1:], *y[1:], *middle[1:]) or not x[0] == middle[0] == y[0]:
        return None
    split = _groups(list(range(len(middle) - 1)), middle[1:], x[1:])  # type: ignore[arg-type]
    merged = _groups([i - 1 for i in perm[1:]], middle[1:], y[1:])  # type: ignore[arg-type]
    if split is None or merged is None:
        return None
    return _Plan([[middle[1 + i] for i in group] for group in split], merged)  # type: ignore[misc]


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


def turn_regroup(node: ir.Node, perm: tuple[int, ...]) -> None:
    node.meta[_PLAN] = node.meta[_PLAN].turned([i - 1 for i in perm[1:]])


def write_regroups(graph: ir.Graph) -> None:
    """Put operators in the place of every node of `insert_regroups`."""
    for node in [node for node in graph if node.op_type == REGROUP and node.domain == DOMAIN]:
        y = _write(node, node.meta[_PLAN])
        y.shape, y.type = node.outputs[0].shape, node.outputs[0].type
        replace(node.outputs[0], y)


def _write(node: ir.Node, plan: _Plan) -> ir.Value:
    x, name, graph = node.inputs[0], str(node.name), node.graph
    assert graph is not None
    known = _known(plan)
    if known is not None:
        op_type, attributes = known
        return insert(node, op_type, [x], name, **attributes)
    factors = [n for axis in plan.split for n in axis]
    perm = [0, *(1 + i for axis in plan.merged for i in axis)]
    sizes = [math.prod(factors[i] for i in axis) for axis in plan.merged]
    split, merged = (new_constant(graph, np.array([0, *n], np.int64), f"{name}/sizes") for n in (factors, sizes))
    y = insert(node, "Reshape", [x, split], f"{name}/split")
    y = insert(node, "Transpose", [y], f"{name}/moved", perm=perm)
    return insert(node, "Reshape", [y, merged], f"{name}/merged")


def _known(plan: _Plan) -> tuple[str, dict[str, Any]] | None:
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
