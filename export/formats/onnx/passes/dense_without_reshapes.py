"""Reshape to rows, MatMul, Reshape back: MatMul alone does it for any rank.

reshape(reshape(x, [-1, n]) W, [..., m])  ->  x W        if the last Reshape gives back the axes of x
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import constant, insert, made_by, only_use, replace
from .pass_types import PassOptions
from .size import same_sizes
from .skips import skip
from .symbolic_shapes import evaluate, sizes


def dense_without_reshapes(model: ir.Model, _options: PassOptions) -> None:
    for last in [node for node in model.graph if node.op_type == "Reshape"]:
        product = made_by(last.inputs[0], "MatMul")
        first = made_by(product.inputs[0], "Reshape") if product is not None else None
        if product is None or first is None:
            continue
        if only_use(product.outputs[0]) is not last:
            skip(product, "its rows are used otherwise too")
            continue
        x, kernel = first.inputs[0], constant(product.inputs[1])
        given = sizes(x)
        if kernel is None or kernel.ndim != 2 or not given or given[-1] != kernel.shape[0] or len(given) < 2:
            skip(product, "it is no constant matrix over the last axis of what was reshaped")
        elif not same_sizes(evaluate(last.inputs[1]), [*given[:-1], kernel.shape[1]]):
            skip(product, "its rows are regrouped behind it")
        else:
            y = insert(last, "MatMul", [x, product.inputs[1]], str(product.name), last.outputs[0].shape)
            replace(last.outputs[0], y)
