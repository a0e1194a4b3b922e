"""Einsum of two tensors as one MatMul between transposes; the converter's own way regroups every dimension.

A letter is a batch (in both and in the result), summed (in both only), or one side's own. With at most one letter of
each kind but batches, the operands transposed to [batches, own, summed] and [batches, summed, own] need no reshape.

With a constant kernel several letters may be summed, the last of x, and several be the kernel's own, the last of the
result: x is reshaped to one summed axis, the product to the own ones, by sizes that the kernel tells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, insert, new_constant, replace, static


def einsum_as_matmul(graph: ir.Graph) -> None:
    for node in [node for node in graph if node.op_type == "Einsum" and len(node.inputs) == 2]:
        equation = str(attribute(node, "equation")).replace(" ", "")
        operands, _, result = equation.partition("->")
        terms = operands.split(",")
        if len(terms) == 2 and result and "." not in equation:
            a, b = terms
            if _with_kernel(node, a, b, result):
                continue
            plans = [(_plan(a, b, result), node.inputs), (_plan(b, a, result), node.inputs[::-1])]
            able = [(plan, inputs) for plan, inputs in plans if plan is not None]
            if able:  # the order that leaves the product as it comes, if there is one
                _write(node, *min(able, key=lambda pair: pair[0][2] != sorted(pair[0][2])))


def _with_kernel(node: ir.Node, a: str, b: str, result: str) -> bool:
    """Write the product of a value and a constant, all of whose letters are summed or its own; whether it is one."""
    x, kernel = node.inputs[0], constant(node.inputs[1])
    summed, own = [i for i in b if i in a], [i for i in b if i not in a]
    kept = [i for i in a if i not in summed]
    plain = all(len(set(term)) == len(term) for term in (a, b, result))
    if x is None or kernel is None or not plain or not summed or not own or not kept:
        return False
    summed = list(a[len(kept) :])
    if len(summed) + len(own) != len(b) or not set(summed) <= set(b) or list(result) != [*kept, *own]:
        return False
    sizes = dict(zip(b, kernel.shape, strict=True))
    matrix = kernel.transpose([b.index(i) for i in (*summed, *own)]).reshape(-1, int(np.prod([sizes[i] for i in own])))
    name, shape = str(node.name), static(x)
    before = tuple(shape[: len(kept)]) if shape is not None else None

    def reshaped(value: ir.Value, letters: list[str], width: int) -> ir.Value:
        if len(letters) == 1:
            return value
        ends = [width] if value is x else [sizes[i] for i in letters]
        target = new_constant(node.graph, np.array([0] * len(kept) + ends, np.int64), f"{name}/shape")  # type: ignore[arg-type]
        return insert(node, "Reshape", [value, target], f"{name}/Reshape", _shape(before, ends))

    rows = reshaped(x, summed, len(matrix))
    weights = new_constant(node.graph, matrix, f"{name}/kernel")  # type: ignore[arg-type]
    product = insert(node, "MatMul", [rows, weights], name, _shape(before, [matrix.shape[1]]))
    replace(node.outputs[0], reshaped(product, own, matrix.shape[1]))
    return True


def _shape(before: tuple[int | None, ...] | None, ends: list[int]) -> ir.Shape | None:
    return None if before is None else ir.Shape([*before, *ends])


def _plan(a: str, b: str, result: str) -> tuple[list[int], list[int], list[int]] | None:
    """The permutations of both operands and of the product."""
    batches = [letter for letter in result if letter in a and letter in b]
    summed = [letter for letter in a if letter in b and letter not in result]
    own = [[letter for letter in term if letter not in other] for term, other in ((a, b), (b, a))]
    plain = all(len(set(term)) == len(term) for term in (a, b, result))
    if not plain or len(summed) != 1 or any(len(o) != 1 or o[0] not in result for o in own):
        return None
    left, right, product = [*batches, *own[0], *summed], [*batches, *summed, *own[1]], [*batches, *own[0], *own[1]]
    return [a.index(i) for i in left], [b.index(i) for i in right], [product.index(i) for i in result]


def _write(node: ir.Node, plan: tuple[list[int], list[int], list[int]], inputs: Sequence[ir.Value | None]) -> None:
    name = str(node.name)

    def transposed(value: ir.Value | None, perm: list[int]) -> ir.Value:
        assert value is not None
        if perm == sorted(perm):
            return value
        shape = ir.Shape([value.shape[i] for i in perm]) if value.shape is not None else None
        return insert(node, "Transpose", [value], f"{name}/Transpose", shape, perm=perm)

    left, right = (transposed(value, perm) for value, perm in zip(inputs, plan, strict=False))
    shape = node.outputs[0].shape
    if shape is not None:
        shape = ir.Shape([shape[plan[2].index(i)] for i in range(len(shape))])
    product = insert(node, "MatMul", [left, right], name, shape)
    replace(node.outputs[0], transposed(product, plan[2]))
