"""Einsum of two tensors as one MatMul between transposes; the converter's own way regroups every dimension.

A letter is a batch (in both and in the result), summed (in both only), or one side's own. With at most one letter of
each kind but batches, the operands transposed to [batches, own, summed] and [batches, summed, own] need no reshape.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .onnx_editing import attribute, insert, replace


def einsum_as_matmul(graph: ir.Graph) -> None:
    for node in [node for node in graph if node.op_type == "Einsum" and len(node.inputs) == 2]:
        equation = str(attribute(node, "equation")).replace(" ", "")
        operands, _, result = equation.partition("->")
        terms = operands.split(",")
        if len(terms) == 2 and result and "." not in equation:
            a, b = terms
            plans = [(_plan(a, b, result), node.inputs), (_plan(b, a, result), node.inputs[::-1])]
            able = [(plan, inputs) for plan, inputs in plans if plan is not None]
            if able:  # the order that leaves the product as it comes, if there is one
                _write(node, *min(able, key=lambda pair: pair[0][2] != sorted(pair[0][2])))


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
