"""Give the constants of one number in a float16 file their float32 values back.

The converter stores every constant as float16, where an epsilon of 1e-8 is zero and one of 1e-6 is off by 1 %. Arrays
of weights tolerate that; for a single number it saves two bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...rewrite_log import logged
from ..flatbuffer_graph import Graph


def whole_scalars(halves: bytes, floats: Callable[[], bytes]) -> bytes:
    """`halves` with its single numbers taken from the same network in float32.

    `floats` makes that network; it is called only if `halves` has such a number.
    """
    graph = Graph(halves)
    slots = [(op, k) for op in graph.ops for k, i in enumerate(op.inputs) if _is_halved_scalar(graph, int(i))]
    if not slots:
        return halves
    original = Graph(floats())
    by_name = {original.name(int(op.outputs[0])): op for op in original.ops}
    with logged("restore_fp32_scalars", lambda: len(graph.ops)):
        for op, k in slots:
            _restore(graph, op, k, original, by_name.get(graph.name(int(op.outputs[0]))))
        graph.index()
        graph.subgraph.operators = [op for op in graph.ops if not _is_unread_dequantize(graph, op)]
        graph.ops = graph.subgraph.operators
    return graph.bytes()


def _restore(graph: Graph, op: Any, k: int, original: Graph, twin: Any) -> None:
    """Take input `k` of an operator from `twin`, the operator that makes the tensor of the same name in `original`."""
    if twin is None or k >= len(twin.inputs) or graph.kind(op) != original.kind(twin):
        graph.skip(op, "the float32 file has no such operation")
        return
    value = original.constant(int(twin.inputs[k]))
    if value is None or value.size != 1:
        graph.skip(op, f"its input {k} is no constant of one number in the float32 file")
        return
    name = graph.name(int(op.inputs[k]))
    op.inputs = np.array([*op.inputs[:k], graph.add_constant(value, name), *op.inputs[k + 1 :]], np.int32)


def _is_halved_scalar(graph: Graph, tensor: int) -> bool:
    maker = graph.maker(tensor) if tensor >= 0 else None
    return maker is not None and graph.kind(maker) == "DEQUANTIZE" and np.prod(graph.shape(tensor)) == 1


def _is_unread_dequantize(graph: Graph, op: Any) -> bool:
    output = int(op.outputs[0])
    return graph.kind(op) == "DEQUANTIZE" and not graph.users(output) and not graph.is_output(output)
