"""A float TFLite file with some weights in 16, 8 or 4 bits, and all arithmetic in float32.

    16   float16 -> DEQUANTIZE -> w          once, when the file is loaded
     8   int8, a scale for each output channel -> DEQUANTIZE -> w, likewise
     4   int4: likewise; but CONV_2D and FULLY_CONNECTED take the integers themselves, in kernels that round what they
         multiply to 8 bits, since XNNPACK leaves an int4 DEQUANTIZE to slower kernels

Convolutions and dense layers have weights that are rounded for what the calibration data give: see `grid.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ....model.layer_names import layer_of_result
from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ....quantization.grid import in_bits
from ....quantization.stored_weights import FLOAT, Weight
from ..flatbuffer_graph import Graph, Quantized, replace_input
from . import rounding
from .observer import watch

_FEWEST = 512  # numbers in a weight worth storing otherwise
_EXAMPLES = 64
# The kernel's axis of output channels; the last one for all other operations.
_AXES = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0, "CONV_3D": 4, "DEPTHWISE_CONV_2D": 3, "GATHER": 0}
_HYBRID = {"CONV_2D": 5, "FULLY_CONNECTED": 9}  # and the version of the operator that takes int4
_NO_INT4 = ("DEPTHWISE_CONV_2D",)  # few weights, and much time


class NarrowWeights:
    """`StoredWeights` of a TFLite file; `examples` are inputs that the rounding is made for."""

    def __init__(
        self, flatbuffer: bytes, examples: list[Arrays], layers: Collection[str], say: Progress = silent
    ) -> None:
        self._flatbuffer, graph = flatbuffer, Graph(flatbuffer)
        self._found = dict(_weights(graph))
        self._moments = _moments(graph, flatbuffer, self._found, examples[:_EXAMPLES], say)
        self.weights = tuple(_described(graph, tensor, users, layers) for tensor, users in self._found.items())
        self._steps = lru_cache(maxsize=None)(self._steps)  # type: ignore[method-assign]

    def write(self, bits: Mapping[int, int], target: Path) -> None:
        graph = Graph(self._flatbuffer)
        with_users = dict(_weights(graph))
        for position, tensor in enumerate(self._found):
            if (width := bits.get(position, FLOAT)) != FLOAT:
                self._store(graph, tensor, with_users[tensor], width)
        target.write_bytes(graph.bytes())

    def _store(self, graph: Graph, tensor: int, users: list[Any], bits: int) -> None:
        name = graph.name(tensor)
        if bits == 16:
            stored = graph.add_constant(graph.constant(tensor).astype(np.float16), f"{name}/float16")
        else:
            steps, scale, axis = self._steps(tensor, bits)
            stored = graph.add_constant(steps, f"{name}/int{bits}", Quantized(scale, axis))
            if bits == 4:
                graph.pack_int4(stored)
        if bits == 4 and all(graph.kind(op) in _HYBRID and int(op.inputs[0]) != tensor for op in users):
            for op in users:
                replace_input(op, tensor, stored)
                graph.code(graph.kind(op), 0, _HYBRID[graph.kind(op)])
            return
        graph.to_be_computed(tensor)
        graph.insert("DEQUANTIZE", graph.ops[0], [stored], tensor)

    def _steps(self, tensor: int, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
        graph = Graph(self._flatbuffer)
        values, axis = graph.constant(tensor), _axis(graph, self._found[tensor][0], tensor)
        rows = np.moveaxis(values, axis, 0)
        steps, scale = in_bits(rows.reshape(len(rows), -1), bits, self._moments.get(tensor))
        return np.ascontiguousarray(np.moveaxis(steps.reshape(rows.shape), 0, axis)), scale, axis


def _weights(graph: Graph) -> Iterator[tuple[int, list[Any]]]:
    """The constants that are large enough, and what reads them."""
    constants = dict.fromkeys(int(i) for op in graph.ops for i in op.inputs)
    for tensor in constants:
        shape = graph.shape(tensor) if graph.is_float(tensor) else ()
        large = len(shape) > 1 and np.prod(shape) >= _FEWEST
        if large and graph.constant(tensor) is not None and not graph.is_output(tensor):
            yield tensor, graph.users(tensor)


def _described(graph: Graph, tensor: int, users: list[Any], layers: Collection[str]) -> Weight:
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
    graph: Graph, flatbuffer: bytes, found: Mapping[int, list[Any]], examples: list[Arrays], say: Progress
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
