"""Clip(x + 3, 0, 6) / 6 and its like: one HardSigmoid, which runtimes merge into a convolution too.

clip(x + shift, 0, top) factor  =  clip(alpha x + beta, 0, 1)        alpha = factor, beta = shift factor
                                                                     if factor top = 1
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import insert, made_by, number, only_use, replace, scalar, with_constant
from .pass_types import PassOptions
from .skips import skip


def clip_as_hard_sigmoid(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Clip" and len(node.inputs) == 3]:
        add, scale = made_by(node.inputs[0], "Add"), only_use(node.outputs[0], "Div", "Mul")
        shifted = with_constant(add) if add is not None and only_use(add.outputs[0]) is node else None
        factor = _factor(node, scale) if scale is not None else None
        low, top = (scalar(limit) for limit in node.inputs[1:])
        if scale is None or factor is None or shifted is None or shifted[1].size != 1 or low != 0 or top is None:
            skip(node, "it is no Clip from 0 between a sum with a number and a product with one")
        elif shifted[0].shape != node.outputs[0].shape or abs(factor * top - 1) > 1e-6:
            skip(node, "what it gives does not end at 1")
        else:
            more = {"alpha": factor, "beta": number(shifted[1]) * factor}
            y = insert(scale, "HardSigmoid", [shifted[0]], str(node.name), shifted[0].shape, **more)
            replace(scale.outputs[0], y)


def _factor(clip: ir.Node, scale: ir.Node) -> float | None:
    """The number that `scale` multiplies by."""
    scaled = with_constant(scale)
    if scaled is None or scaled[1].size != 1:
        return None
    factor = number(scaled[1])
    if scale.op_type == "Mul":
        return factor
    return (1 / factor if factor else factor) if scale.inputs[0] is clip.outputs[0] else None
