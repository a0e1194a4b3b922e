"""Min(Relu(x), 6) and its like: one Clip, which runtimes merge into a convolution."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .ir_utils import insert, new_constant, only_use, operand, replace, scalar
from .pass_types import PassOptions
from .skips import skip


def min_as_clip(model: ir.Model, _options: PassOptions) -> None:
    graph = model.graph
    for node in [node for node in graph if node.op_type == "Min" and len(node.inputs) == 2]:
        found = operand(node, "Relu")
        limit = scalar(found[1]) if found is not None else None
        if found is None or limit is None:
            skip(node, "it is not of a Relu and a number")
        elif only_use(found[0].outputs[0]) is not node:
            skip(node, "its Relu is used otherwise too")
        else:
            zero, top = (new_constant(graph, np.float32(n), f"{node.name}/limit") for n in (0.0, limit))
            replace(node.outputs[0], insert(node, "Clip", [found[0].inputs[0], zero, top], str(node.name)))
