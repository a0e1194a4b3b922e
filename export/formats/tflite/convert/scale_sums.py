"""For half precision: a SUM as a MEAN, where what it is multiplied by takes the number of terms.

    SUM(x) * c        becomes   MEAN(x) * (n c)          also SUM(x) / c as MEAN(x) / (c / n)
    W SUM(x) + b      becomes   (n W) MEAN(x) + b        a dense layer

A half ends at 65504, which the sum over a picture of 56 x 56 passes where the numbers in it are 21. The result is the
same but for a rounding of the constant, and in float32 as exact as before. A sum that something else reads stays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ....model.float16 import FLOAT16_LARGEST
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph
from .stage_sums import reduced_axes

_FEW = 64  # terms whose sum hardly leaves a half


def as_means(flatbuffer: bytes) -> bytes:
    """The file with every such SUM changed; the same bytes if there is none."""
    graph = Graph(flatbuffer)
    with logged("scale_sums", lambda: len(graph.ops)):
        found = [(op, scaled) for op in graph.ops if (scaled := scaled_by_terms(graph, op)) is not None]
    for op, scaled in found:
        op.opcodeIndex = graph.code("MEAN", schema.BuiltinOperator.MEAN, 1)
        for user, slot, values in scaled:
            tensors = [int(i) for i in user.inputs]
            tensors[slot] = graph.add_constant(values, f"{graph.name(tensors[slot])}_of_mean")
            user.inputs = np.array(tensors, np.int32)
    return graph.bytes() if found else flatbuffer


def scaled_by_terms(graph: Graph, op: Any) -> list[tuple[Any, int, np.ndarray]] | None:
    """(operator, slot, values) of each constant that has to change for a MEAN in the place of a SUM; None if `op` has
    to stay as it is."""
    if graph.kind(op) != "SUM":
        return None
    if not graph.is_float(int(op.outputs[0])) or graph.is_output(op.outputs[0]):
        graph.skip(op, "it is not in float32, or is an output")
        return None
    sizes = graph.sizes(int(op.inputs[0]))
    counts = [sizes[axis] for axis in reduced_axes(graph, op)]
    terms = 0 if None in counts else math.prod(size for size in counts if size is not None)
    if terms <= _FEW:
        graph.skip(op, f"it has at most {_FEW} terms, or their number or its axes are not known")
        return None
    scaled = [_scaled(graph, user, int(op.outputs[0]), terms) for user in graph.users(int(op.outputs[0]))]
    if None in scaled:
        graph.skip(op, "not everything that reads it multiplies it by a constant with room for the number of terms")
        return None
    return [row for row in scaled if row is not None]


def _scaled(graph: Graph, user: Any, total: int, terms: int) -> tuple[Any, int, np.ndarray] | None:
    kind, slot = graph.kind(user), 0 if int(user.inputs[0]) != total else 1
    if kind not in ("MUL", "DIV", "FULLY_CONNECTED") or (kind != "MUL" and slot == 0):
        return None
    values = graph.constant(int(user.inputs[slot])) if graph.is_float(int(user.inputs[slot])) else None
    if values is None:
        return None
    values = values / np.float64(terms) if kind == "DIV" else values * np.float64(terms)
    return (user, slot, values) if np.abs(values).max(initial=0.0) <= FLOAT16_LARGEST else None
