"""What an Ethos-U55 leaves to the processor, by the rules that `vela --supported-ops-report` prints.

For a machine without Arm's compiler, and held equal to it by a test: Vela 5.2's rules for the operators that layers of
Keras become. An Ethos-U85 takes all of these, and more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..delegates.node_table import Node, Tensor, nodes

_NAMES = """
ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP EXPAND_DIMS FULLY_CONNECTED
GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD PADV2 PRELU
QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR
REVERSE_V2 RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TILE TRANSPOSE
TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
"""
_OPERATORS = frozenset(_NAMES.split())
_EIGHT_ALONE = frozenset({"BATCH_MATMUL", "ELU", "GELU", "EXP", "LOG"})
_MOST_ON_AN_AXIS, _MOST_SUMMED = 4096, {"INT8": 1 << 24, "INT16": 1 << 16}
_MOST_STRIDE, _WINDOW = 3, 8


def left_out(path: Path) -> list[tuple[Node, str]]:
    """The operators that stay on the processor, each with the first rule that it breaks."""
    return [(node, reasons[0]) for node in nodes(path) if (reasons := list(_broken(node)))]


def _broken(node: Node) -> Iterator[str]:
    data = [tensor for tensor in node.computed() if tensor.kind not in ("INT32", "INT64") or tensor in node.outputs]
    if any(tensor.kind in ("FLOAT32", "FLOAT16") for tensor in data):
        yield "it computes in floats"
    if node.op not in _OPERATORS:
        yield "there is no such operator on the NPU"
    if any(tensor.kind not in ("INT8", "UINT8", "INT16") for tensor in data):
        yield "its numbers have neither 8 nor 16 bits"
    if any(size is None for tensor in node.computed() for size in tensor.shape[1:]):
        yield "a size is free"
    if node.op in _EIGHT_ALONE and any(tensor.kind == "INT16" for tensor in data):
        yield "it takes 8 bits alone"
    if node.op in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D") and not node.inputs[1].constant:
        yield "its weights are computed"
    if node.op in _RULES:
        yield from _RULES[node.op](node)


def _mean(node: Node) -> Iterator[str]:
    x, axes = node.inputs[0], node.inputs[1]
    shape = [size or 1 for size in x.shape]
    reduced = {axis % len(shape) for axis in axes.values}
    if shape[0] != 1:
        yield "a mean needs a batch of 1"
    if any(shape[axis] >= _MOST_ON_AN_AXIS for axis in reduced):
        yield f"it reduces an axis of {_MOST_ON_AN_AXIS} or more"
    if math.prod(shape[axis] for axis in reduced) > _MOST_SUMMED.get(x.kind, 0):
        yield "it reduces too many elements"
    if len(shape) - 1 in reduced and len(shape) > 2 and 1 not in _picture(shape):
        yield "a mean over the depth needs a height, width or depth of 1"


def _picture(shape: list[int]) -> list[int]:
    return ([1, 1, *shape[1:]] if len(shape) < 4 else shape)[-3:]


def _depthwise(node: Node) -> Iterator[str]:
    options: Any = node.options
    if max(options.strideH, options.strideW) > _MOST_STRIDE:
        yield f"a stride is above {_MOST_STRIDE}"


def _pool(node: Node) -> Iterator[str]:
    options: Any = node.options
    if options.padding == 0 and max(options.filterHeight, options.filterWidth) > _WINDOW:
        yield f"a padded window is larger than {_WINDOW}"
    if max(options.strideH, options.strideW) > _MOST_STRIDE and options.padding == 0:
        yield f"a stride is above {_MOST_STRIDE}"


def _resize(node: Node) -> Iterator[str]:
    x, y = _sizes(node.inputs[0]), _sizes(node.outputs[0])
    options: Any = node.options
    halved = node.op == "RESIZE_BILINEAR" and options.halfPixelCenters
    less = 1 if options.alignCorners else 0
    if x in ((1, 1), y):
        return
    scales = {(large - less) / max(small - less, 1) for small, large in zip(x, y, strict=True)}
    if len(scales) > 1 or not scales <= ({2.0} if halved else {2.0, 4.0, 8.0}):
        yield "it enlarges by another factor than " + ("2" if halved else "2, 4 or 8")


def _sizes(tensor: Tensor) -> tuple[int, int]:
    return tensor.shape[1] or 1, tensor.shape[2] or 1


def _transposed(node: Node) -> Iterator[str]:
    options: Any = node.options
    if (options.strideH, options.strideW) not in ((1, 1), (2, 2)):
        yield "its strides are neither 1 nor 2"


_RULES: dict[str, Callable[[Node], Iterator[str]]] = {
    "MEAN": _mean,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _pool,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "TRANSPOSE_CONV": _transposed,
}
