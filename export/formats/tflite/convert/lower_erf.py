"""The error function, which TFLite has no operation for, by its hyperbolic tangent.

    erf(x)  = tanh(x P(x^2))              P of degree 7
    erfc(x) = -(erf(x) - 1)

P is a minimax fit of atanh(erf(x)) / x on [0, 4], by iteratively reweighted least squares, with the weight that makes
it one of the relative error of erf: 7.0e-8. Against math.erf in float64 at 1.0 million points between -6 and 6, the
largest errors in float32 are 1.6e-7 with a tanh that rounds correctly, 3.4e-7 in XNNPACK, 3.8e-7 in LiteRT's builtin
kernels, whose tanh is 1 from 7.9 on, and 3.6e-7 of TensorFlow's own erf. Beyond 4 the argument of tanh is more than 9.0
and grows: 1, as it is of an infinity, for which there is nothing to clip.

GELU is an operation of TFLite; its erf is rewritten only where the converter refused the model for another one.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from ...rewrite_log import note_skip
from .rewrite_saved_model import constant

# The coefficients of P, of the highest power first.
P = (
    *(5.68951116e-09, 2.21555159e-08, -4.75461051e-06, 8.44617029e-05),
    *(-6.14624734e-04, -1.95433926e-04, 1.02769898e-01, 1.12837925e00),
)
_FLOAT = tf.float32.as_datatype_enum


def by_tanh(node: NodeDef, _: list[np.ndarray]) -> list[NodeDef] | None:
    """Make an Erf or Erfc of float32 the last of a chain; return the other nodes of the chain."""
    if node.attr["T"].type != _FLOAT:
        note_skip(node.op, node.name, "it is not in float32")
        return None
    made: list[NodeDef] = []

    def add(kind: str, name: str, *sources: str, output: str = "z") -> str:
        made.append(NodeDef(name=f"{node.name}/{name}", op=kind, input=sources))
        made[-1].attr["T"].type = _FLOAT
        return f"{node.name}/{name}:{output}:0"

    def number(name: str, value: float) -> str:
        made.append(constant(f"{node.name}/{name}", np.array(value, np.float32)))
        return f"{node.name}/{name}:output:0"

    x, complement = node.input[0], node.op == "Erfc"
    square = add("Mul", "square", x, x)
    p = number("p_0", P[0])
    for i, coefficient in enumerate(P[1:], 1):
        product = add("Mul", f"product_{i}", p, square)
        p = add("AddV2", f"sum_{i}", product, number(f"p_{i}", coefficient))
    argument = add("Mul", "argument", x, p)
    if complement:
        argument = add("Sub", "below_one", add("Tanh", "erf", argument, output="y"), number("one", 1.0))
    # Of the operations that may come last, these call their output as Erf and Erfc do, by which others know it.
    node.op = "Neg" if complement else "Tanh"
    node.input[:] = [argument, *(name for name in node.input if name.startswith("^"))]
    return made
