"""Round the kernels of a dynamic range file for the output that calibration data give: see `rounding.py`.

The converter chooses which weights have 8 bits and writes the file. Here each kernel with a scale for every output
channel gets other points of the same grid, and its bias is corrected by the change of the mean output.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph, Quantized
from .kernel_rounding import patches_of, round_layer, rounded_layers
from .observer import watch

_EXAMPLES = 64
_CHANNELS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}  # the kernel's axis of output channels


def round_kernels(flatbuffer: bytes, quantized: bytes, batches: list[Arrays], say: Progress = silent) -> bytes:
    """`quantized` with the kernels of `flatbuffer`, the same network in floats, rounded for what `batches` give."""
    graph, made = Graph(flatbuffer), Graph(quantized)
    with logged("dynamic_range"):
        in_eight_bits = {made.name(int(op.outputs[0])): op for op in made.ops if _has_channels(made, op)}
    ops = [op for op in rounded_layers(graph) if graph.name(int(op.outputs[0])) in in_eight_bits]
    batches = batches[:_EXAMPLES]
    patches = [(op, patches_of(graph, op, len(batches))) for op in ops]

    def see(tensor: int, values: np.ndarray) -> None:
        for op, gathered in patches:
            if int(op.inputs[0]) == tensor:
                gathered.add(values)

    running = counted(batches, say, "calibration examples run", len(batches[0][0]))
    watch(flatbuffer, running, sorted({int(op.inputs[0]) for op in ops}), see)
    for op, gathered in counted(patches, say, "kernels rounded"):
        round_layer(graph, op, gathered)
        _put(made, in_eight_bits[graph.name(int(op.outputs[0]))], *(graph.constant(int(i)) for i in op.inputs[1:]))
    return made.bytes()


def _has_channels(graph: Graph, op: Any) -> bool:
    """Whether the kernel is in 8 bits, with a scale for each channel of the output."""
    axis = _CHANNELS.get(graph.kind(op))
    if axis is None:
        return False
    kernel = graph.tensors[int(op.inputs[1])]
    scales = getattr(kernel.quantization, "scale", None)
    if not graph.is_float(int(op.inputs[0])) or kernel.type != schema.TensorType.INT8:
        graph.skip(op, "its input is not in float32, or its kernel not in 8 bits")
        return False
    if scales is None or len(scales) != kernel.shape[axis]:
        graph.skip(op, "its kernel has not one scale for each channel of the output")
        return False
    return True


def _put(graph: Graph, op: Any, kernel: np.ndarray, bias: np.ndarray | None = None) -> None:
    axis = _CHANNELS[graph.kind(op)]
    scale = np.abs(kernel).max(axis=tuple(i for i in range(kernel.ndim) if i != axis)) / 127
    scale[scale == 0] = 1.0
    along = [-1 if i == axis else 1 for i in range(kernel.ndim)]
    steps = np.round(kernel / scale.reshape(along)).astype(np.int8)
    inputs = [int(i) for i in op.inputs]
    if len(graph.users(inputs[1])) == 1:
        graph.tensors[inputs[1]].quantization = None  # nothing reads this tensor any more, and its scales take room
    inputs[1] = graph.add_constant(steps, graph.name(inputs[1]), Quantized(scale, axis))
    if bias is not None and len(inputs) > 2 and inputs[2] >= 0:
        inputs[2] = graph.add_constant(bias, graph.name(inputs[2]))
    op.inputs = np.array(inputs, np.int32)
