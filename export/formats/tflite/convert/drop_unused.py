"""Leave out of a file the tensors that nothing reads or writes any more, and what it has for them.

Interpreters keep an entry for each, and TFLite Micro plans memory for them: it takes one without data for a result.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def drop_unused(model: Any) -> None:
    """Number the tensors of each subgraph anew, and the buffers, without those that are of no use."""
    for place, graph in enumerate(model.subgraphs):
        entries = [
            entry for each in model.signatureDefs or () if (each.subgraphIndex or 0) == place for entry in _of(each)
        ]
        lists = [(op, part) for op in graph.operators for part in ("inputs", "outputs", "intermediates")]
        lists += [(graph, "inputs"), (graph, "outputs")]
        used = {int(i) for owner, part in lists for i in _indices(owner, part)} - {-1}
        kept = sorted(used | {int(entry.tensorIndex) for entry in entries})
        numbers = {-1: -1, **{old: new for new, old in enumerate(kept)}}
        for owner, part in lists:
            if getattr(owner, part) is not None:
                setattr(owner, part, np.array([numbers[int(i)] for i in _indices(owner, part)], np.int32))
        for entry in entries:
            entry.tensorIndex = numbers[int(entry.tensorIndex)]
        graph.tensors = [graph.tensors[i] for i in kept]
    _drop_buffers(model)


def _of(signature: Any) -> list[Any]:
    return [*(signature.inputs or ()), *(signature.outputs or ())]


def _indices(owner: Any, part: str) -> Any:
    found = getattr(owner, part)
    return () if found is None else found


def _drop_buffers(model: Any) -> None:
    """The first buffer stays: it is the empty one, by convention."""
    holders = [tensor for graph in model.subgraphs for tensor in graph.tensors] + list(model.metadata or ())
    kept = sorted(
        {0} | {int(holder.buffer) for holder in holders} | {int(i) for i in _indices(model, "metadataBuffer")}
    )
    numbers = {old: new for new, old in enumerate(kept)}
    for holder in holders:
        holder.buffer = numbers[int(holder.buffer)]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([numbers[int(i)] for i in model.metadataBuffer], np.int32)
    model.buffers = [model.buffers[i] for i in kept]
