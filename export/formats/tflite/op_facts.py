"""What a .tflite file consists of, read off the file: its operations, and how it is quantized."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ai_edge_litert.tools import flatbuffer_utils

from .read_file import read_file


def op_counts(path: Path) -> dict[str, int]:
    model = read_file(path)
    codes = [flatbuffer_utils.opcode_to_name(model, i) for i in range(len(model.operatorCodes))]
    counts = Counter(codes[op.opcodeIndex] for graph in model.subgraphs for op in graph.operators)
    return dict(sorted(counts.items()))


def quantized_as(path: Path) -> str | None:
    """The mode of a file, read off the types of its tensors, those in loops and branches too; None for float32."""
    model = read_file(path)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    kinds = {flatbuffer_utils.type_to_name(tensor.type) for tensor in tensors if tensor.quantization is not None}
    made = {
        flatbuffer_utils.type_to_name(graph.tensors[i].type)
        for graph in model.subgraphs
        for op in graph.operators
        for i in op.outputs
        if i >= 0
    }
    if "INT16" in made:
        return "int16x8"
    if "INT8" in made:
        return "int8"
    if kinds & {"INT8", "INT4"}:
        return "dynamic"
    return "float16" if "FLOAT16" in {flatbuffer_utils.type_to_name(tensor.type) for tensor in tensors} else None
