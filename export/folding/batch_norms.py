"""The batch norms of a graph: those that it calls itself, and those inside layers that are one call of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from ..model.keras_graph import children, unwrapped
from .call_graph import Call, Graph
from .rules import BATCH_NORMS


def is_batch_norm(layer: Any) -> bool:
    return isinstance(layer, BATCH_NORMS)


def candidates(graph: Graph) -> tuple[dict[Any, str], list[tuple[str, str]]]:
    """The norms that are layers of the graph, with their paths; those that are not, with the reason."""
    norms: dict[Any, str] = {}
    kept = []
    for call in graph.calls:
        layer = unwrapped(call.layer)
        if is_batch_norm(layer):
            norms.setdefault(layer, call.path)
        elif isinstance(layer, keras.Layer):
            reason = _composite_reason(graph, call)
            kept += [(f"{call.path}/{path}", reason) for path in _norms_inside(layer)]
    return norms, list(dict.fromkeys(kept))


def _norms_inside(layer: Any, prefix: str = "") -> Iterator[str]:
    for inner in children(layer):
        if is_batch_norm(inner):
            yield f"{prefix}{inner.name}"
        else:
            yield from _norms_inside(inner, f"{prefix}{inner.name}/")


def _composite_reason(graph: Graph, call: Call) -> str:
    name, layer = call.path, unwrapped(call.layer)
    if graph.traced_layers.core(layer) is not None:
        return f"inside the model {name!r}, which is called with more than its inputs"
    if type(layer).__module__.startswith("keras."):
        return f"inside the layer {name!r} ({type(layer).__name__}), which is not opened"
    why = graph.traced_layers.refused.get(layer)
    return f"inside the custom layer {name!r}, whose call is Python code" + (f": {why}" if why else "")
