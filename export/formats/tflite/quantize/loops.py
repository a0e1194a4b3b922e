"""Weights within loops, which recurrent layers are in a TFLite file, in 8 bits.

Calibration does not see into a loop, so activations there have no ranges, and stay in float. Weights need none:

    y = x w + b    becomes LiteRT's hybrid product: w in 8 bits with a scale for each output, x quantized as it comes

which is what `quantize="dynamic"` has everywhere, from the same number of weights on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ..flatbuffer_graph import Graph

_LEAST = 1024
_HYBRID = 12  # the version of FULLY_CONNECTED that has a scale for each output


def with_eight_bit_weights(flatbuffer: bytes) -> bytes:
    """The file with the products within its loops in the hybrid form; the same bytes where there is none."""
    graph = Graph(flatbuffer)
    narrowed = [op for sub in graph.model.subgraphs[1:] for op in sub.operators if _narrow(graph, sub, op)]
    if not narrowed:
        return flatbuffer
    graph.code("FULLY_CONNECTED", schema.BuiltinOperator.FULLY_CONNECTED, _HYBRID)
    return graph.bytes()


def _narrow(graph: Graph, subgraph: Any, op: Any) -> bool:
    if graph.kind(op) != "FULLY_CONNECTED":
        return False
    x, place = subgraph.tensors[op.inputs[0]], int(op.inputs[1])
    weights = subgraph.tensors[place]
    data = graph.model.buffers[weights.buffer].data
    floats = {x.type, weights.type} == {schema.TensorType.FLOAT32}
    alone = sum(place in reader.inputs for reader in subgraph.operators) == 1
    if data is None or not floats or not alone or np.prod(weights.shape) < _LEAST:
        return False
    w = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(weights.shape)
    scale = np.abs(w).max(axis=1) / 127
    scale[scale == 0] = 1.0
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.round(w / scale[:, None]).astype(np.int8).tobytes(), np.uint8)
    graph.model.buffers.append(buffer)
    weights.buffer, weights.type = len(graph.model.buffers) - 1, schema.TensorType.INT8
    weights.quantization = schema.QuantizationParametersT()
    weights.quantization.scale = scale.astype(np.float32)
    weights.quantization.zeroPoint = np.zeros(len(scale), np.int64)
    op.builtinOptions.asymmetricQuantizeInputs = True
    return True
