"""The kernels of a TFLite file that are rounded for the output that calibration data give: see `quantization/grid.py`.

The largest weight of an output channel is held at the end of the grid, where the quantizer will find the same scale
again, and the bias makes up for the change of the mean output: b += mean of X w - mean of X q.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ....quantization.grid import LARGEST_PATCH, LAST, to_grid
from ....quantization.patches import Patches, Window, rows
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph

_LAYERS = ("CONV_2D", "FULLY_CONNECTED")


def patches_of_kernel(graph: Graph, op: Any, examples: int) -> Patches:
    """What gathers the moments of the patches that a dense layer or a convolution multiplies its kernel with."""
    size = int(np.prod(graph.shape(int(op.inputs[1]))[1:]))
    if graph.kind(op) == "FULLY_CONNECTED":
        return Patches(size, partial(rows, size=size), examples)
    return Patches(size, window_of(graph, op).patches, examples)


def window_of(graph: Graph, op: Any) -> Window:
    """The geometry of a convolution, depthwise or not."""
    kernel, options = graph.shape(int(op.inputs[1])), op.builtinOptions
    return Window(
        (kernel[1], kernel[2]),
        (options.strideH, options.strideW),
        (options.dilationHFactor, options.dilationWFactor),
        "same" if options.padding == schema.Padding.SAME else ((0, 0), (0, 0)),
    )


def layers(graph: Graph) -> list[Any]:
    """The operators whose kernels are rounded this way: dense and ungrouped convolutions of moderate patches."""
    with logged("rounding"):
        return [op for op in graph.ops if graph.kind(op) in _LAYERS and _can_be_rounded(graph, op)]


def _can_be_rounded(graph: Graph, op: Any) -> bool:
    kernel = graph.shape(int(op.inputs[1]))
    if graph.constant(int(op.inputs[1])) is None:
        graph.skip(op, "its kernel is computed")
    elif graph.kind(op) == "CONV_2D" and kernel[-1] != graph.shape(int(op.inputs[0]))[-1]:
        graph.skip(op, "it is a convolution in groups")
    elif np.prod(kernel[1:]) > LARGEST_PATCH:
        graph.skip(op, f"its patches have more than {LARGEST_PATCH:,} numbers")
    else:
        return True
    return False


def round_kernel(graph: Graph, op: Any, patches: Patches) -> None:
    """Replace the kernel by values on its grid, and correct the bias by the change of the mean output."""
    kernel = graph.constant(int(op.inputs[1]))
    w = kernel.reshape(len(kernel), -1).astype(np.float64)
    moments, mean = patches.moments()
    q = _rounded(w, moments)
    name = graph.name(int(op.outputs[0])).split(";")[0]
    inputs = [int(i) for i in op.inputs]
    inputs[1] = graph.add_constant(q.reshape(kernel.shape), f"{name}/rounded_kernel")
    bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
    if bias is not None:
        inputs[2] = graph.add_constant(bias + (w - q) @ mean, f"{name}/corrected_bias")
    op.inputs = np.array(inputs, np.int32)


def _rounded(w: np.ndarray, moments: np.ndarray) -> np.ndarray:
    scale = np.abs(w).max(axis=1) / LAST[8]
    scale[scale == 0] = 1.0
    rounded: np.ndarray = to_grid(w, moments, scale, LAST[8], held=np.abs(w).argmax(axis=1)) * scale[:, None]
    return rounded
