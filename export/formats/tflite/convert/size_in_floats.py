"""How large a float16 file would be in float32, without a second conversion."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from .drop_unused import drop_unused

_LARGE = 2**20  # bytes; in a file as large weights outweigh what is written around them


def size_in_floats(flatbuffer: bytes) -> int | None:
    """The bytes of the same file with each weight in float32, and no operator that widens it; None for large files."""
    if len(flatbuffer) > _LARGE:
        return None
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    for graph in model.subgraphs:
        widening = [op for op in graph.operators if _widens(model, graph, op)]
        for op in widening:
            weight = graph.tensors[op.inputs[0]]
            data, weight.type = model.buffers[weight.buffer].data, schema.TensorType.FLOAT32
            model.buffers[weight.buffer].data = np.zeros(2 * len(data), np.uint8)
            for user in graph.operators:
                user.inputs = np.where(user.inputs == op.outputs[0], op.inputs[0], user.inputs)
        gone = {id(op) for op in widening}
        graph.operators = [op for op in graph.operators if id(op) not in gone]
    drop_unused(model)
    return len(flatbuffer_utils.convert_object_to_bytearray(model))


def _widens(model: Any, graph: Any, op: Any) -> bool:
    if flatbuffer_utils.opcode_to_name(model, op.opcodeIndex) != "DEQUANTIZE":
        return False
    weight = graph.tensors[op.inputs[0]]
    return weight.type == schema.TensorType.FLOAT16 and model.buffers[weight.buffer].data is not None
