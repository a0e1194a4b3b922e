"""Which layers of a network with norms need more than 8 bits: measured, one layer at a time.

A norm brings every example back to the same scale, but the ranges of a quantized tensor are the same for all examples:
the first layers round away most of an example of little contrast, and no later layer restores it. So the network runs
on a few examples with only the input and output of one layer rounded to 8 bits, and

    noise = |y - y_rounded|^2 / |y|^2        summed over outputs and examples

The noisiest layers stay in float until the noise of the others adds up to little; together they may have a fifth of the
network's multiplications, and more, up to three fifths, only as long as the noise of the others is above -29 dB: some
networks make far more noise of what their first layers get, such as those of instance norms over few positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ..flatbuffer_graph import Graph, Quantized, position
from .observer import watch

LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SHARE, _LITTLE = 0.2, 10**-3.5
_MOST, _ENOUGH = 0.6, 10**-2.9
_EXAMPLES = 8
_INPUTS = 6  # the vtable offset of `inputs` in an operator's table


def most_sensitive(
    flatbuffer: bytes, ranges: dict[int, tuple[float, float]], batches: list[Arrays], say: Progress = silent
) -> list[int]:
    """Positions in the file of the operators that stay in float."""
    graph = Graph(flatbuffer)
    layers = {i: op for i, op in enumerate(graph.ops) if graph.kind(op) in LAYERS}
    work = {
        i: _multiplications(graph, op)
        for i, op in layers.items()
        if {int(op.inputs[0]), int(op.outputs[0])} <= set(ranges)
    }
    examples = batches[:: max(1, len(batches) // _EXAMPLES)][:_EXAMPLES]
    expected = outputs_of(graph, flatbuffer, examples)
    operators = list(graph.ops)
    rewirings = {i: _in_eight_bits(graph, operators[i], ranges) for i in work}
    place = {id(op): k for k, op in enumerate(graph.ops)}
    content = graph.bytes()
    noise = {}
    for i in counted(work, say, "layers tried in 8 bits"):
        changes = [(place[id(op)], slot, tensor) for op, slot, tensor in rewirings[i]]
        got = outputs_of(graph, _rewired(content, changes), examples)
        noise[i] = float(np.sum((got - expected) ** 2) / max(float(np.sum(expected**2)), 1e-30))
    rest, spent, found = sum(noise.values()), 0.0, []
    for i in sorted(noise, key=lambda i: noise[i], reverse=True):
        share = _MOST if rest > _ENOUGH else _SHARE
        wanted = rest > _LITTLE and noise[i] > _LITTLE / len(noise)
        if wanted and spent + work[i] <= share * sum(work.values()):
            spent, rest = spent + work[i], rest - noise[i]
            found.append(i)
    return found


def _in_eight_bits(graph: Graph, op: Any, ranges: dict[int, tuple[float, float]]) -> list[tuple[Any, int, int]]:
    """Add operators that round the input and the output of a layer to 8 bits.

    Returns which inputs have to change: operator, position among its inputs, the tensor to read instead.
    """
    x, y = int(op.inputs[0]), int(op.outputs[0])
    changes = [(op, 0, _rounded(graph, x, ranges[x], op))]
    if not graph.is_output(y):
        wide = _rounded(graph, y, ranges[y], graph.ops[position(graph, op) + 1])
        changes += [(user, k, wide) for user in graph.users(y) for k, i in enumerate(user.inputs) if int(i) == y]
    return changes


def _rounded(graph: Graph, tensor: int, limits: tuple[float, float], before: Any) -> int:
    """A new tensor: `tensor` quantized to 8 bits and back, computed in front of `before`."""
    low, high = limits
    scale = max(high - low, 1e-9) / 255
    quantized = Quantized(scale, zero_point=int(np.clip(np.round(-128 - low / scale), -128, 127)))
    narrow = graph.add_tensor(graph.shape(tensor), "narrow", np.int8, quantized)
    wide = graph.add_tensor(graph.shape(tensor), "wide", np.float32)
    graph.insert("QUANTIZE", before, [tensor], narrow)
    graph.insert("DEQUANTIZE", before, [narrow], wide)
    return wide


def _rewired(content: bytes, changes: list[tuple[int, int, int]]) -> bytes:
    """The file with some operators reading other tensors; written into the bytes, faster than packing it anew."""
    changed = bytearray(content)
    operators = schema.Model.GetRootAs(changed, 0).Subgraphs(0)
    for k, slot, tensor in changes:
        table = operators.Operators(k)._tab  # noqa: SLF001  (the generated reader has no public way to where a field lies)
        at = table.Vector(table.Offset(_INPUTS)) + 4 * slot
        changed[at : at + 4] = np.int32(tensor).tobytes()
    return bytes(changed)


def outputs_of(graph: Graph, flatbuffer: bytes, examples: list[Arrays]) -> np.ndarray:
    """All outputs in float of a file, of which `graph` tells the outputs, in one row."""
    seen: list[np.ndarray] = []

    def see(_: int, values: np.ndarray) -> None:
        seen.append(values.astype(np.float64).reshape(-1))

    watch(flatbuffer, examples, [int(i) for i in graph.subgraph.outputs if graph.is_float(int(i))], see)
    return np.concatenate(seen) if seen else np.zeros(0)


def _multiplications(graph: Graph, op: Any) -> float:
    kernel, output = graph.shape(int(op.inputs[1])), graph.shape(int(op.outputs[0]))
    taps = kernel[1:3] if graph.kind(op) == "DEPTHWISE_CONV_2D" else kernel[1:]
    return float(np.prod(output[1:])) * float(np.prod(taps))
