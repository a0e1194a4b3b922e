"""A float TFLite file with some weights in 16, 8 or 4 bits, and all arithmetic in float32.

    16   float16 -> DEQUANTIZE -> w          once, when the file is loaded
     8   int8, a scale for each output channel -> DEQUANTIZE -> w, likewise
     4   int4: likewise; but CONV_2D and FULLY_CONNECTED take the integers themselves, in kernels that round what they
         multiply to 8 bits, since XNNPACK leaves an int4 DEQUANTIZE to slower kernels

Convolutions and dense layers have weights that are rounded for what the calibration data give: see `grid.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....model.layer_names import layer_of_result
from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ....quantization.grid import in_bits
from ....quantization.stored_weights import EXAMPLES, FEWEST, FLOAT, Weight
from ..flatbuffer_graph import Graph, Quantized, replace_input
from . import rounding
from .observer import watch

# The kernel's axis of output channels; the last one for all other operations.
_AXES = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0, "CONV_3D": 4, "DEPTHWISE_CONV_2D": 3, "GATHER": 0}
_HYBRID = {"CONV_2D": 5, "FULLY_CONNECTED": 9}  # and the version of the operator that takes int4
_NO_INT4 = ("DEPTHWISE_CONV_2D",)  # few weights, and much time


class NarrowWeights:
    """`StoredWeights` of a TFLite file; `examples` are inputs that the rounding is made for."""

    def __init__(
        self, flatbuffer: bytes, examples: list[Arrays], layers: Collection[str], say: Progress = silent
    ) -> None:
        self._flatbuffer = flatbuffer
        graphs = Graph(flatbuffer).all_graphs()
        self._places = [(k, tensor) for k, graph in enumerate(graphs) for tensor in _weights(graph)]
        in_main = [tensor for k, tensor in self._places if k == 0]
        self._moments = _moments(graphs[0], flatbuffer, in_main, examples[:EXAMPLES], say)
        self.weights = tuple(_described(graphs[k], tensor, layers) for k, tensor in self._places)
        self._rounded: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]] = {}

    def write(self, bits: Mapping[int, int], target: Path) -> None:
        graphs = Graph(self._flatbuffer).all_graphs()
        for position, width in bits.items():
            if width != FLOAT:
                self._store(graphs[self._places[position][0]], position, width)
        target.write_bytes(graphs[0].bytes())

    def _store(self, graph: Graph, position: int, bits: int) -> None:
        tensor, name = self._places[position][1], f"w{position}_{'float' if bits == 16 else 'int'}{bits}"
        users = graph.users(tensor)
        if bits == 16:
            stored = graph.add_constant(graph.constant(tensor).astype(np.float16), name)
        else:
            steps, scale, axis = self._steps(graph, position, bits)
            stored = graph.add_constant(steps, name, Quantized(scale, axis))
            if bits == 4:
                graph.pack_int4(stored)
        graph.release(tensor)
        if bits == 4 and all(graph.kind(op) in _HYBRID and int(op.inputs[0]) != tensor for op in users):
            for op in users:
                replace_input(op, tensor, stored)
                graph.code(graph.kind(op), 0, _HYBRID[graph.kind(op)])
            return
        graph.insert("DEQUANTIZE", graph.ops[0], [stored], tensor)

    def _steps(self, graph: Graph, position: int, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
        if (position, bits) not in self._rounded:
            place, tensor = self._places[position]
            moments = self._moments.get(tensor) if place == 0 else None
            # What has moments is a kernel of rows, whatever else reads it too.
            axis = 0 if moments is not None else _axis(graph, graph.users(tensor)[0], tensor)
            rows = np.moveaxis(graph.constant(tensor), axis, 0)
            steps, scale = in_bits(rows.reshape(len(rows), -1), bits, moments)
            in_place = np.ascontiguousarray(np.moveaxis(steps.reshape(rows.shape), 0, axis))
            self._rounded[position, bits] = in_place, scale, axis
        return self._rounded[position, bits]


def _weights(graph: Graph) -> Iterator[int]:
    """The constants that are large enough."""
    for tensor in dict.fromkeys(int(i) for op in graph.ops for i in op.inputs):
        shape = graph.shape(tensor) if graph.is_float(tensor) else ()
        large = len(shape) > 1 and np.prod(shape) >= FEWEST
        if large and graph.constant(tensor) is not None and not graph.is_output(tensor):
            yield tensor


def _described(graph: Graph, tensor: int, layers: Collection[str]) -> Weight:
    users = graph.users(tensor)
    bits = (FLOAT, 16, 8) if any(graph.kind(op) in _NO_INT4 for op in users) else (FLOAT, 16, 8, 4)
    layer = layer_of_result(graph.name(int(users[0].outputs[0])), layers)
    return Weight(layer, graph.name(tensor), graph.shape(tensor), bits)


def _axis(graph: Graph, op: Any, tensor: int) -> int:
    """The axis along which each index has a scale of its own."""
    last = len(graph.shape(tensor)) - 1
    if graph.kind(op) == "BATCH_MATMUL" and int(op.inputs[1]) == tensor:
        return last - 1 if op.builtinOptions.adjY else last
    return _AXES.get(graph.kind(op), last)


def _moments(
    graph: Graph, flatbuffer: bytes, found: Collection[int], examples: list[Arrays], say: Progress
) -> dict[int, np.ndarray]:
    """By weight, the moments of what it is multiplied with."""
    kernels = {int(op.inputs[1]): op for op in rounding.layers(graph) if int(op.inputs[1]) in found}
    gathered = {tensor: rounding.patches_of_kernel(graph, op, len(examples)) for tensor, op in kernels.items()}

    def see(tensor: int, values: np.ndarray) -> None:
        for kernel, op in kernels.items():
            if int(op.inputs[0]) == tensor:
                gathered[kernel].add(values)

    running = counted(examples, say, "calibration examples run", len(examples[0][0]))
    inputs = [int(i) for i in graph.subgraph.inputs]
    watch(flatbuffer, running, sorted({int(op.inputs[0]) for op in kernels.values()}), see, inputs)
    return {tensor: patches.moments()[0] for tensor, patches in gathered.items()}
