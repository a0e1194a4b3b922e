"""GELU in the form that runtimes know, or as one operation from opset 20 on.

x/2 (1 - erf(-x/sqrt 2))  ->  x/2 (1 + erf(x/sqrt 2))  or  Gelu(x)
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from .ir_utils import (
    graph_of,
    input_of,
    insert,
    made_by,
    new_constant,
    number,
    only_use,
    opset_of,
    replace,
    scalar,
    with_constant,
)
from .pass_types import PassOptions
from .skips import skip

_GELU_OPSET = 20


def erf_as_gelu(model: ir.Model, _options: PassOptions) -> None:
    for erf in [node for node in model.graph if node.op_type == "Erf"]:
        minus = only_use(erf.outputs[0], "Sub")
        product = only_use(minus.outputs[0], "Mul") if minus is not None else None
        if minus is None or product is None or scalar(minus.inputs[0]) != 1.0:
            skip(erf, "it is not in a product with 1 - erf")
            continue
        other = product.inputs[1] if product.inputs[0] is minus.outputs[0] else product.inputs[0]
        x = _argument(erf)
        half = with_constant(made_by(other, "Mul"))
        if x is None or half is None or half[0] is not x or half[1].size != 1 or number(half[1]) != 0.5:
            skip(erf, "it is not erf(-x/sqrt 2) in a product with x/2")
        else:
            _write(product, x)


def _argument(erf: ir.Node) -> ir.Value | None:
    """x of erf(-x/sqrt 2)."""
    scaled = with_constant(made_by(erf.inputs[0], "Mul"))
    negative = made_by(scaled[0], "Neg") if scaled is not None else None
    if scaled is None or negative is None or scaled[1].size != 1 or abs(number(scaled[1]) - math.sqrt(0.5)) > 1e-6:
        return None
    return input_of(negative, 0)


def _write(last: ir.Node, x: ir.Value) -> None:
    graph, name, shape = graph_of(last), str(last.name), last.outputs[0].shape
    if opset_of(graph) >= _GELU_OPSET:
        replace(last.outputs[0], insert(last, "Gelu", [x], name, shape))
        return

    def constant(value: float) -> ir.Value:
        return new_constant(graph, np.float32(value), f"{name}/constant")

    scaled = insert(last, "Div", [x, constant(math.sqrt(2))], f"{name}/Div", shape)
    erf = insert(last, "Erf", [scaled], f"{name}/Erf", shape)
    both = insert(last, "Mul", [x, insert(last, "Add", [erf, constant(1)], f"{name}/Add", shape)], f"{name}/Mul", shape)
    replace(last.outputs[0], insert(last, "Mul", [both, constant(0.5)], name, shape))
