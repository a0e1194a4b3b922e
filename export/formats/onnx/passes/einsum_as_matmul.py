"""Einsum of two tensors as one MatMul between transposes; the converter's own way regroups every dimension.

A letter is a batch (in both and in the result), summed (in both only), or one side's own. With at most one letter of
each kind but batches, the operands transposed to [batches, own, summed] and [batches, summed, own] need no reshape.

With a constant kernel several letters may be summed, the last of x, and several be the kernel's own, the last of the
result: x is reshaped to one summed axis, the product to the own ones, by sizes that the kernel tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import onnx_ir as ir
from numpy.typing import NDArray

from .ir_utils import (
    constant,
    graph_of,
    input_of,
    insert,
    new_constant,
    new_integers,
    permuted,
    replace,
    static,
    text,
)
from .pass_types import PassOptions
from .skips import skip


class _Plan(NamedTuple):
    """The permutations of both operands and of the product."""

    left: list[int]
    right: list[int]
    product: list[int]


def einsum_as_matmul(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Einsum" and len(node.inputs) == 2]:
        equation = text(node, "equation").replace(" ", "")
        operands, _, result = equation.partition("->")
        terms = operands.split(",")
        if len(terms) != 2 or not result or "." in equation or _repeats(*terms, result):
            skip(node, f"'{equation}' has no result, an ellipsis, or a letter twice in a term")
            continue
        a, b = terms
        if _with_kernel(node, a, b, result):
            continue
        plans = [(_plan(a, b, result), node.inputs), (_plan(b, a, result), node.inputs[::-1])]
        able = [(plan, inputs) for plan, inputs in plans if plan is not None]
        if able:  # the order that leaves the product as it comes, if there is one
            _write(node, *min(able, key=lambda pair: pair[0].product != sorted(pair[0].product)))
        else:
            skip(node, f"'{equation}' does not sum over one letter, with one letter of its own on each side")


def _repeats(*terms: str) -> bool:
    return any(len(set(term)) < len(term) for term in terms)


def _with_kernel(node: ir.Node, a: str, b: str, result: str) -> bool:
    """Write the product of a value and a constant, all of whose letters are summed or its own; whether it is one."""
    x, kernel = input_of(node, 0), constant(node.inputs[1])
    own, kept = [i for i in b if i not in a], [i for i in a if i not in b]
    summed = list(a[len(kept) :])
    if kernel is None or not summed or not own or not kept:
        return False
    if len(summed) + len(own) != len(b) or not set(summed) <= set(b) or list(result) != [*kept, *own]:
        return False
    matrix = kernel.transpose([b.index(i) for i in (*summed, *own)])
    own_sizes = list(matrix.shape[len(summed) :])
    _write_with_kernel(node, x, matrix.reshape(-1, math.prod(own_sizes)), (len(kept), len(summed)), own_sizes)
    return True


def _write_with_kernel(
    node: ir.Node, x: ir.Value, matrix: NDArray[Any], letters: tuple[int, int], own_sizes: list[int]
) -> None:
    """x, of so many kept and summed `letters`, times the matrix, with `own_sizes` in the place of its columns."""
    graph, name, shape, (kept, summed) = graph_of(node), str(node.name), static(x), letters
    before = tuple(shape[:kept]) if shape is not None else None

    def reshaped(value: ir.Value, ends: list[int]) -> ir.Value:
        target = new_integers(graph, [0] * kept + ends, f"{name}/shape")
        return insert(node, "Reshape", [value, target], f"{name}/Reshape", _shape(before, ends))

    rows = x if summed == 1 else reshaped(x, [len(matrix)])
    weights = new_constant(graph, matrix, f"{name}/kernel")
    product = insert(node, "MatMul", [rows, weights], name, _shape(before, [matrix.shape[1]]))
    replace(node.outputs[0], product if len(own_sizes) == 1 else reshaped(product, own_sizes))


def _shape(before: tuple[int | None, ...] | None, ends: list[int]) -> ir.Shape | None:
    return None if before is None else ir.Shape([*before, *ends])


def _plan(a: str, b: str, result: str) -> _Plan | None:
    batches = [letter for letter in result if letter in a and letter in b]
    summed = [letter for letter in a if letter in b and letter not in result]
    own = [[letter for letter in term if letter not in other] for term, other in ((a, b), (b, a))]
    if len(summed) != 1 or any(len(o) != 1 or o[0] not in result for o in own):
        return None
    left, right, product = [*batches, *own[0], *summed], [*batches, *summed, *own[1]], [*batches, *own[0], *own[1]]
    return _Plan([a.index(i) for i in left], [b.index(i) for i in right], [product.index(i) for i in result])


def _write(node: ir.Node, plan: _Plan, inputs: Sequence[ir.Value | None]) -> None:
    name = str(node.name)

    def transposed(value: ir.Value | None, perm: list[int]) -> ir.Value:
        assert value is not None
        if perm == sorted(perm):
            return value
        return insert(node, "Transpose", [value], f"{name}/Transpose", permuted(value.shape, perm), perm=perm)

    left, right = (transposed(value, perm) for value, perm in zip(inputs, plan[:2], strict=True))
    shape = node.outputs[0].shape
    back = None if shape is None else [plan.product.index(i) for i in range(len(shape))]
    product = insert(node, "MatMul", [left, right], name, permuted(shape, back or ()))
    replace(node.outputs[0], transposed(product, plan.product))
