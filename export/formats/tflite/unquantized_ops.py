"""Which layers of a quantized .tflite file have weights in float32, read off the file, and why."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ...model.layer_names import NORM_SCOPE, layers_in
from ...report.unquantized import Unquantized, once_a_layer
from .read_file import read_file

# The inputs that are weights; other operations have them at any place.
_KERNELS = {
    "CONV_2D": (1,),
    "DEPTHWISE_CONV_2D": (1,),
    "FULLY_CONNECTED": (1,),
    "TRANSPOSE_CONV": (1,),
    "CONV_3D": (1,),
    "CONV_3D_TRANSPOSE": (1,),
    "BATCH_MATMUL": (0, 1),
    "GATHER": (0,),
    "EMBEDDING_LOOKUP": (1,),
}
_ELEMENTWISE = {"ADD", "SUB", "MUL", "PRELU"}
_WITHOUT_8_BITS = {"CONV_3D", "CONV_3D_TRANSPOSE"}
_IN_16_BITS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_LEAST = 1024  # numbers that the converter's dynamic range takes
_NORM = "norms compute in float"


def unquantized(path: Path, mode: str, layers: Collection[str]) -> tuple[Unquantized, ...]:
    """The layers of `layers` that have weights in float32, in the order in which they run."""
    model = read_file(path)
    found: list[Unquantized] = []
    small: list[Unquantized] = []
    quantized: set[str] = set()
    for number, graph in enumerate(model.subgraphs):
        for op in graph.operators:
            kind = flatbuffer_utils.opcode_to_name(model, op.opcodeIndex)
            name = graph.tensors[op.outputs[0]].name.decode() if len(op.outputs) else ""
            layer = layers_in(name, layers)
            for tensor in _weights(model, graph, op, kind):
                numbers = math.prod(map(int, tensor.shape))
                if tensor.type != schema.TensorType.FLOAT32:
                    quantized.add(layer)
                elif layer and numbers > 1:
                    norm = f"/{NORM_SCOPE}/" in name
                    reason = _NORM if norm else _reason(mode, kind, numbers, number > 0)
                    one = Unquantized(layer, kind, numbers, reason)
                    (small if kind in _ELEMENTWISE and not norm else found).append(one)
    # A bias that is added behind an operation without one belongs to a layer whose kernel is quantized.
    named = {one.layer for one in found}
    return once_a_layer([*found, *(one for one in small if one.layer not in quantized | named)])


def _weights(model: Any, graph: Any, op: Any, kind: str) -> Iterator[Any]:
    """The constants of an operation that are weights of a layer."""
    places = _KERNELS.get(kind, range(len(op.inputs)) if kind in _ELEMENTWISE else ())
    for place in places:
        if place < len(op.inputs) and op.inputs[place] >= 0:
            tensor = graph.tensors[op.inputs[place]]
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data) and tensor.shape is not None:
                yield tensor


def _reason(mode: str, kind: str, numbers: int, in_loop: bool) -> str:
    if kind in _WITHOUT_8_BITS and mode != "float16":
        return f"LiteRT has no kernel of {kind} with 8-bit weights"
    if mode == "dynamic" and kind in _ELEMENTWISE:
        return f"LiteRT has no kernel of {kind} with 8-bit weights"
    if (mode == "dynamic" or in_loop) and mode != "float16" and numbers < _LEAST:
        return f"fewer than {_LEAST:,} numbers, of which 8 bits save little"
    if mode in ("int8", "int16x8") and in_loop:
        return "calibration does not see into its loop"
    if mode == "int8" and kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return "it loses most of all layers to rounding (measured)"
    if mode == "int16x8" and kind not in _IN_16_BITS:
        return "in a file with float parts, 16 bits are written for convolutions and dense layers"
    return "the converter leaves it in float"
