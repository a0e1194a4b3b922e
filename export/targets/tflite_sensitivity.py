"""Which layers of a network with norms are worth more than 8 bits: measured, one layer at a time.

A norm gives every example the same scale again, but ranges are the same for all examples: of one with little contrast,
the first layers round most away, and no later layer brings it back. So with only the input and output of one layer
rounded to 8 bits, the network runs on a few examples, and

    noise = |y - y_rounded|^2 / |y|^2        summed over outputs and examples

The noisiest layers stay in float until what is left adds up to little, as far as that is a fifth of the network's
multiplications at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..probes import Arrays
from ..progress import Progress, counted, silent
from .tflite_graph import Graph, Quantized, position, replace_input
from .tflite_observing import watch

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SHARE = 0.2
_LITTLE = 10**-3.5
_EXAMPLES = 8


def most_sensitive(
    flatbuffer: bytes, ranges: dict[int, tuple[float, float]], batches: list[Arrays], say: Progress = silent
) -> list[int]:
    """Positions in the file of the operators that stay in float."""
    graph = Graph(flatbuffer)
    work = {i: _multiplications(graph, op) for i, op in enumerate(graph.ops) if graph.kind(op) in _LAYERS}
    left = _SHARE * sum(work.values())
    examples = batches[:: max(1, len(batches) // _EXAMPLES)][:_EXAMPLES]
    expected = _outputs(graph, flatbuffer, examples)
    tried = counted(work, say, "layers tried in 8 bits")
    noise = {i: _noise(flatbuffer, i, ranges, examples, expected) for i in tried}
    rest, found = sum(noise.values()), []
    for i in sorted(noise, key=lambda i: noise[i], reverse=True):
        if rest > _LITTLE and noise[i] > _LITTLE / len(noise) and work[i] <= left:
            left, rest = left - work[i], rest - noise[i]
            found.append(i)
    return found


def _noise(
    flatbuffer: bytes, at: int, ranges: dict[int, tuple[float, float]], examples: list[Arrays], expected: np.ndarray
) -> float:
    graph = Graph(flatbuffer)
    op = graph.ops[at]
    x, y = int(op.inputs[0]), int(op.outputs[0])
    _round(graph, x, ranges[x], op, [op])
    if not graph.is_output(y):
        _round(graph, y, ranges[y], graph.ops[position(graph, op) + 1], graph.users(y))
    got = _outputs(graph, graph.bytes(), examples)
    return float(np.sum((got - expected) ** 2) / max(float(np.sum(expected**2)), 1e-30))


def _round(graph: Graph, tensor: int, limits: tuple[float, float], before: Any, readers: list[Any]) -> None:
    """Let `readers` see `tensor` in 8 bits."""
    low, high = limits
    scale = max(high - low, 1e-9) / 255
    quantized = Quantized(scale, zero_point=int(np.clip(np.round(-128 - low / scale), -128, 127)))
    narrow = graph.add_tensor(graph.shape(tensor), "narrow", np.int8, quantized)
    wide = graph.add_tensor(graph.shape(tensor), "wide", np.float32)
    graph.insert("QUANTIZE", before, [tensor], narrow)
    graph.insert("DEQUANTIZE", before, [narrow], wide)
    for reader in readers:
        replace_input(reader, tensor, wide)


def _outputs(graph: Graph, flatbuffer: bytes, examples: list[Arrays]) -> np.ndarray:
    seen: list[np.ndarray] = []

    def see(_: int, values: np.ndarray) -> None:
        seen.append(values.astype(np.float64).reshape(-1))

    watch(flatbuffer, examples, [int(i) for i in graph.subgraph.outputs if graph.is_float(int(i))], see)
    return np.concatenate(seen) if seen else np.zeros(0)


def _multiplications(graph: Graph, op: Any) -> float:
    kernel, output = graph.shape(int(op.inputs[1])), graph.shape(int(op.outputs[0]))
    taps = kernel[1:3] if graph.kind(op) == "DEPTHWISE_CONV_2D" else kernel[1:]
    return float(np.prod(output[1:])) * float(np.prod(taps))
