"""Give a TRANSPOSE_CONV a bias of one number for each channel, where the converter merged a single one into it.

TRANSPOSE_CONV(shape, w, x, [0.5])    becomes    TRANSPOSE_CONV(shape, w, x, [0.5, 0.5, 0.5, ...])

That is what it makes of a transposed convolution without bias before a hard sigmoid. LiteRT's builtin kernels refuse
such a bias, and XNNPACK reads what lies behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ...rewrite_log import logged
from ..flatbuffer_graph import Graph

_WEIGHTS, _BIAS = 1, 3


def with_whole_biases(flatbuffer: bytes) -> bytes:
    """The file with every such bias repeated; the same bytes if there is none."""
    if not _has_transposed(flatbuffer):  # most files: weights are not copied for this
        return flatbuffer
    graph = Graph(flatbuffer)
    with logged("whole_biases", lambda: len(graph.ops)):
        changed = [op for op in graph.ops if graph.kind(op) == "TRANSPOSE_CONV" and _repeat_bias(graph, op)]
    return graph.bytes() if changed else flatbuffer


def _has_transposed(flatbuffer: bytes) -> bool:
    model = schema.Model.GetRootAs(flatbuffer)
    codes = (model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength()))
    return schema.BuiltinOperator.TRANSPOSE_CONV in codes


def _repeat_bias(graph: Graph, op: Any) -> bool:
    bias = int(op.inputs[_BIAS]) if len(op.inputs) > _BIAS else -1
    values = graph.constant(bias) if bias >= 0 else None
    channels = graph.shape(int(op.inputs[_WEIGHTS]))[0]
    if values is None or values.dtype != np.float32 or values.size != 1 or channels == 1:
        graph.skip(op, "it has no bias of a single number")
        return False
    whole = graph.add_constant(np.full(channels, values.item(), np.float32), f"{graph.name(bias)}/whole")
    op.inputs = np.array([*op.inputs[:_BIAS], whole], np.int32)
    return True
