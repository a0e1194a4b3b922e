"""Multiply-adds of the operators of a file: what a share of operators does not show."""

from __future__ import annotations

import math

from ..delegates.node_table import Node, Tensor


def multiply_adds(node: Node) -> int:
    """Of convolutions, dense layers and products of matrices; 0 for the rest. A free size counts as 1."""
    if node.op in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        kernel = _sizes(node.inputs[1])
        each = kernel[1] * kernel[2] if node.op == "DEPTHWISE_CONV_2D" else math.prod(kernel[1:])
        return math.prod(_sizes(node.outputs[0])) * each
    if node.op == "TRANSPOSE_CONV":
        kernel, x = _sizes(node.inputs[1]), node.inputs[2]
        return math.prod(_sizes(x)[:-1]) * math.prod(kernel)
    if node.op == "BATCH_MATMUL":
        inner = _sizes(node.inputs[0])[-2 if node.options.adjX else -1]
        return math.prod(_sizes(node.outputs[0])) * inner
    return 0


def _sizes(tensor: Tensor) -> list[int]:
    return [size or 1 for size in tensor.shape]
