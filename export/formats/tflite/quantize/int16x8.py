"""Convolutions and dense layers with 8-bit weights between 16-bit activations; everything else in float.

TFLite has no 16-bit kernels for operations that norms consist of (SQUARED_DIFFERENCE, RSQRT), and the converter's
quantizer cannot leave single operators in float, so a model with norms is rewritten here:

    x -> QUANTIZE -> CONV_2D (int16 x int8 + int64 -> int16) -> DEQUANTIZE -> y
    s_x = 2 max|x| / 32767,   s_w = max|w| / 127 for each output channel,   bias in steps of s_x s_w

The range is twice the one seen in calibration: that costs one bit of sixteen, and inputs twice as large do not clip.

    ids -> GATHER (rows of an int16 table) -> DEQUANTIZE -> y        a table of embeddings, s = max|T| / 32767

In 8 bits a table has one scale for all its numbers, and would lose what the 16 bits behind it keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...rewrite_log import logged
from ..flatbuffer_graph import Graph, Quantized, position, replace_input

_MARGIN = 2.0
_LEAST = 1024  # numbers that a table has to have
# The kernel's axis of output channels, and the version of the operator that takes 16-bit activations.
_LAYERS = {"CONV_2D": (0, 5), "DEPTHWISE_CONV_2D": (3, 6), "FULLY_CONNECTED": (0, 9)}


def range_of(largest: float) -> tuple[float, float]:
    """The range of a tensor whose numbers have been seen to go up to `largest`."""
    return -_MARGIN * largest, _MARGIN * largest


def layers(graph: Graph) -> list[Any]:
    """The operators that can compute in 16 bits: constant weights, float input."""
    found = []
    for op in graph.ops:
        if graph.kind(op) in _LAYERS:
            if graph.constant(int(op.inputs[1])) is not None and graph.is_float(int(op.inputs[0])):
                found.append(op)
            else:
                graph.skip(op, "its kernel is computed, or its input is not in float32")
    return found


def quantize(graph: Graph, largest: Mapping[int, float]) -> None:
    """Rewrite every layer; `largest` is max |x| of each of their inputs and outputs."""
    # Any grid holds what is always zero; one with tiny steps has biases that no integer holds.
    scales = {tensor: (value or 1.0) * _MARGIN / 32767 for tensor, value in largest.items()}
    narrow: dict[int, int] = {}  # tensor -> the same in 16 bits

    def sixteen(tensor: int) -> int:
        shape, name = graph.shape(tensor), f"{graph.name(tensor).split(';')[0]}/int16"
        narrow[tensor] = graph.add_tensor(shape, name, np.int16, Quantized(scales[tensor]))
        graph.tensors[narrow[tensor]].shapeSignature = graph.tensors[tensor].shapeSignature
        return narrow[tensor]

    with logged("int16x8", lambda: len(graph.ops)):
        for op in layers(graph):
            x, y = int(op.inputs[0]), int(op.outputs[0])
            if x not in narrow:
                graph.insert("QUANTIZE", op, [x], sixteen(x))
            _quantize_weights(graph, op, scales[x])
            replace_input(op, x, narrow[x])
            following = graph.ops[position(graph, op) + 1 :]
            op.outputs = np.array([sixteen(y)], np.int32)
            graph.insert("DEQUANTIZE", following[0] if following else None, [narrow[y]], y)
        for op in tables(graph):
            _quantize_table(graph, op)
        graph.index()
        _drop_unused(graph)


def tables(graph: Graph) -> list[Any]:
    """The operators that gather rows of a large constant of floats."""
    gathers = [op for op in graph.ops if graph.kind(op) == "GATHER" and graph.is_float(int(op.inputs[0]))]
    constants = [(op, graph.constant(int(op.inputs[0]))) for op in gathers]
    return [op for op, table in constants if table is not None and table.size >= _LEAST]


def _quantize_table(graph: Graph, op: Any) -> None:
    table, y = graph.constant(int(op.inputs[0])), int(op.outputs[0])
    graph.code("GATHER", 0, 4)
    grid = Quantized((float(np.abs(table).max()) or 1.0) / 32767)
    steps = np.round(table / grid.scale).astype(np.int16)
    name = graph.name(y).split(";")[0]
    narrow = graph.add_tensor(graph.shape(y), f"{name}/int16", np.int16, grid)
    graph.tensors[narrow].shapeSignature = graph.tensors[y].shapeSignature
    op.inputs = np.array([graph.add_constant(steps, f"{name}/table", grid), *op.inputs[1:]], np.int32)
    op.outputs = np.array([narrow], np.int32)
    following = graph.ops[position(graph, op) + 1 :]
    graph.insert("DEQUANTIZE", following[0] if following else None, [narrow], y)


def _quantize_weights(graph: Graph, op: Any, scale_of_input: float) -> None:
    kind = graph.kind(op)
    axis, version = _LAYERS[kind]
    graph.code(kind, 0, version)
    w = graph.constant(int(op.inputs[1])).astype(np.float64)
    others = tuple(i for i in range(w.ndim) if i != axis)
    scale = np.abs(w).max(axis=others) / 127
    scale[scale == 0] = 1.0
    along = [-1 if i == axis else 1 for i in range(w.ndim)]
    steps = np.clip(np.round(w / scale.reshape(along)), -127, 127).astype(np.int8)
    inputs, name = [int(i) for i in op.inputs], graph.name(int(op.outputs[0])).split(";")[0]
    inputs[1] = graph.add_constant(steps, f"{name}/kernel", Quantized(scale, axis))
    bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
    if bias is not None:
        unit = scale * scale_of_input
        inputs[2] = graph.add_constant(np.round(bias / unit).astype(np.int64), f"{name}/bias", Quantized(unit))
    op.inputs = np.array(inputs, np.int32)


def _drop_unused(graph: Graph) -> None:
    """Drop each DEQUANTIZE between two layers that follow each other: nothing reads its float tensor."""
    used = {int(i) for op in graph.ops for i in op.inputs} | {int(i) for i in graph.subgraph.outputs}
    graph.ops[:] = [op for op in graph.ops if graph.kind(op) != "DEQUANTIZE" or int(op.outputs[0]) in used]
    graph.index()
