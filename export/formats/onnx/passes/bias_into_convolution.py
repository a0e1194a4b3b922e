"""Conv, Add of a constant a channel: the bias of the convolution.

conv(x, W) + b  ->  conv(x, W, b)        conv(x, W, a) + b  ->  conv(x, W, a + b)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .ir_utils import (
    array_of,
    constant,
    graph_of,
    has_input,
    integer,
    new_constant,
    only_use,
    rank_of,
    replace,
    with_constant,
)
from .pass_types import PassOptions
from .skips import skip


def bias_into_convolution(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type in ("Conv", "ConvTranspose")]:
        add = only_use(node.outputs[0], "Add")
        found = with_constant(add)
        if add is None or found is None or found[0] is not node.outputs[0]:
            skip(node, "nothing but a sum with a constant has to use it")
            continue
        bias = _per_channel(node, found[1])
        if bias is None:
            skip(node, "what is added is not one number, or one a channel")
            continue
        if has_input(node, 2):
            if constant(node.inputs[2]) is None:
                skip(node, "it has a bias that is computed")
                continue
            bias = bias + array_of(node.inputs[2])
        node.resize_inputs(3)
        node.replace_input_with(2, new_constant(graph_of(node), bias, f"{node.name}/bias"))
        replace(add.outputs[0], node.outputs[0])


def _per_channel(node: ir.Node, array: NDArray[Any]) -> NDArray[Any] | None:
    """`array` as one number for each output channel of `node`, if that is what it is."""
    rank, kernel = rank_of(node.inputs[1]), constant(node.inputs[1])
    if array.ndim > rank or kernel is None:
        return None
    channels = kernel.shape[0] if node.op_type == "Conv" else kernel.shape[1] * integer(node, "group", 1)
    whole = (1,) * (rank - array.ndim) + array.shape
    if whole not in ((1, channels, *[1] * (rank - 2)), (1,) * rank):
        return None
    return np.broadcast_to(array.reshape(-1), (channels,)).astype(array.dtype)
