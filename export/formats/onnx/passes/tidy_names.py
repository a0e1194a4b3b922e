"""The graph that tf2onnx wrote, tidied: names that mean something and are the same at every run, constants in order."""

from __future__ import annotations

import re
from collections import Counter

import onnx_ir as ir

_COUNTER = re.compile(r"(__\d+)?(:\d+)?$")
_WRAPPERS = re.compile(r"^(StatefulPartitionedCall|PartitionedCall)(_\d+)?/")


def tidy(model: ir.Model) -> None:
    """Name nodes and values by the layers they come from, number them in graph order, sort constants by first use.

    tf2onnx numbers by a counter of its process, so the same model gave other bytes at every export.
    """
    graph = model.graph
    fixed = {str(value.name) for value in (*graph.inputs, *graph.outputs)}
    taken: Counter[str] = Counter(fixed)
    # A constant that several layers share has the name of whichever tf2onnx met last: name it by its first user.
    order: dict[ir.Value, str] = {}
    for node in graph.all_nodes():
        for i, value in enumerate(node.inputs):
            if value is not None and value.is_initializer() and value.name not in fixed:
                order.setdefault(value, f"{layer_path(node.name)}/constant_{i}")
    for value, name in order.items():
        _rename(value, name, taken)
    for node in graph.all_nodes():
        node.name = _unique(layer_path(node.name), taken)
        for i, value in enumerate(node.outputs):
            if value.name not in fixed:
                _rename(value, f"{node.name}.{i}", taken)
    initializers = {value.name: value for value in order if value.graph is graph}
    for name in [name for name in graph.initializers if name in initializers]:
        del graph.initializers[name]
    for value in initializers.values():
        graph.register_initializer(value)


def layer_path(name: str | None) -> str:
    """`name` without the counters and wrappers that TensorFlow and tf2onnx put around the path of a layer."""
    return _COUNTER.sub("", _WRAPPERS.sub("", name or "node"))


def _unique(name: str, taken: Counter[str]) -> str:
    taken[name] += 1
    return name if taken[name] == 1 else _unique(f"{name}_{taken[name] - 1}", taken)


def _rename(value: ir.Value, name: str, taken: Counter[str]) -> None:
    value.name = _unique(name, taken)
