"""Where each result lies in the arena of TFLite Micro, planned ahead and written into the file.

Results that exist at the same time must not overlap. TFLite Micro places the largest first and never looks back; here
several orders are tried, and the one of the lowest end is kept. TFLite Micro takes the offsets from the metadata
"OfflineMemoryAllocation", as 32-bit integers: a version, a subgraph, the number of tensors, the offset of each (-1: it
decides itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_ALIGNED = 16
_TRIES = 200
_NAME = b"OfflineMemoryAllocation"
_BYTES = {schema.TensorType.INT8: 1, schema.TensorType.INT16: 2, schema.TensorType.INT64: 8, schema.TensorType.BOOL: 1}


@dataclass(frozen=True)
class Result:
    """A tensor that is given or computed: its bytes, and the first and last operator while which it exists."""

    tensor: int
    size: int
    first: int
    last: int


def plan_memory(model: Any) -> None:
    """Write offsets for the tensors of a model that has one subgraph."""
    if len(model.subgraphs) != 1:
        return
    graph = model.subgraphs[0]
    offsets = np.full(len(graph.tensors), -1, np.int32)
    for result, offset in placed(results(model)).items():
        offsets[result.tensor] = offset
    buffer, entry = schema.BufferT(), schema.MetadataT()
    content = np.concatenate([np.array([1, 0, len(offsets)], np.int32), offsets])
    buffer.data = np.frombuffer(content.tobytes(), np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = _NAME, len(model.buffers) - 1
    model.metadata = [each for each in model.metadata or () if each.name != _NAME] + [entry]


def results(model: Any) -> list[Result]:
    """The tensors of the first subgraph that need memory, and when."""
    graph = model.subgraphs[0]
    end = len(graph.operators) - 1
    first = {int(i): 0 for i in graph.inputs}
    last = {int(i): 0 for i in graph.inputs}
    for place, op in enumerate(graph.operators):
        for tensor in (int(i) for i in op.outputs):
            first[tensor] = last[tensor] = place
        last.update({int(i): place for i in op.inputs if int(i) in first})
    last.update({int(i): end for i in graph.outputs})
    return [Result(tensor, _size(graph.tensors[tensor]), first[tensor], last[tensor]) for tensor in first]


def _size(tensor: Any) -> int:
    count = int(np.prod(tensor.shape)) if tensor.shape is not None else 1
    return -(-count * _BYTES.get(tensor.type, 4) // _ALIGNED) * _ALIGNED


def placed(found: Sequence[Result]) -> dict[Result, int]:
    """An offset for each result, of the lowest end that was found."""
    bound = max(
        sum(r.size for r in found if r.first <= time <= r.last) for time in range(max(r.last for r in found) + 1)
    )
    rng = np.random.default_rng(0)
    best, least = {}, float("inf")
    for trial in range(_TRIES):
        noise = rng.uniform(0.5, 2.0, len(found)) if trial > 1 else np.ones(len(found))
        weights = [r.size * (1 + r.last - r.first if trial % 2 else 1) * n for r, n in zip(found, noise, strict=True)]
        order = sorted(range(len(found)), key=lambda i: -weights[i])
        offsets = _in_order([found[i] for i in order])
        end = max(offset + result.size for result, offset in offsets.items())
        if end < least:
            best, least = offsets, end
        if least == bound:
            break
    return best


def _in_order(found: Sequence[Result]) -> dict[Result, int]:
    """Each at the lowest place that is free while it exists."""
    offsets: dict[Result, int] = {}
    for result in found:
        others = sorted(
            (offset, offset + other.size)
            for other, offset in offsets.items()
            if other.first <= result.last and result.first <= other.last
        )
        place = 0
        for start, end in others:
            if place + result.size <= start:
                break
            place = max(place, end)
        offsets[result] = place
    return offsets
