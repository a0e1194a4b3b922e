"""Small TFLite files written operation by operation, and what such a file holds and computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.interpreter import open_interpreter
from keras_norms.export.formats.tflite.run_preserving import run_keeping

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int32": schema.TensorType.INT32,
    "int8": schema.TensorType.INT8,
}


@dataclass(frozen=True)
class Op:
    """An operation with one output: its kind, the names of its inputs, the name and shape of the output."""

    kind: str
    inputs: Sequence[str]
    output: str
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


# The class of the options of an operation, where it has any that these files set.
_OPTIONS = {
    "ADD": schema.AddOptionsT,
    "AVERAGE_POOL_2D": schema.Pool2DOptionsT,
    "CONV_2D": schema.Conv2DOptionsT,
    "CONV_3D": schema.Conv3DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "DIV": schema.DivOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
    "MEAN": schema.ReducerOptionsT,
    "MUL": schema.MulOptionsT,
    "REDUCE_MAX": schema.ReducerOptionsT,
    "SUB": schema.SubOptionsT,
    "SUM": schema.ReducerOptionsT,
    "TRANSPOSE_CONV": schema.TransposeConvOptionsT,
}


def flatbuffer(
    inputs: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, np.ndarray | tuple[np.ndarray, np.ndarray]],
    ops: Sequence[Op],
    outputs: Sequence[str],
) -> bytes:
    """A file of float32 inputs; a constant is an array, or int8 values and their scales, one for each of axis 0."""
    graph = Graph(_empty())
    places = {name: graph.add_tensor(shape, name) for name, shape in inputs.items()}
    for name, value in constants.items():
        places[name] = _constant(graph, name, value)
    for op in ops:
        places[op.output] = graph.add_tensor(op.shape, op.output)
        graph.ops.append(_operator(graph, op, places))
    graph.subgraph.inputs = np.array([places[name] for name in inputs], np.int32)
    graph.subgraph.outputs = np.array([places[name] for name in outputs], np.int32)
    entry = schema.SignatureDefT()
    entry.signatureKey, entry.subgraphIndex = b"serving_default", 0
    entry.inputs, entry.outputs = ([_named(places, name) for name in names] for names in (inputs, outputs))
    graph.model.signatureDefs = [entry]
    graph.index()
    return graph.bytes()


def _empty() -> bytes:
    from ai_edge_litert.tools import flatbuffer_utils

    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    subgraph = schema.SubGraphT()
    subgraph.tensors, subgraph.operators = [], []
    subgraph.inputs, subgraph.outputs = np.zeros(0, np.int32), np.zeros(0, np.int32)
    model.subgraphs = [subgraph]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _constant(graph: Graph, name: str, value: Any) -> int:
    values, scales = value if isinstance(value, tuple) else (value, None)
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    graph.model.buffers.append(buffer)
    index = graph.add_tensor(values.shape, name, buffer=len(graph.model.buffers) - 1)
    graph.tensors[index].type = _TYPES[values.dtype.name]
    if scales is not None:
        graph.tensors[index].quantization.scale = np.asarray(scales, np.float32)
        graph.tensors[index].quantization.zeroPoint = np.zeros(len(scales), np.int64)
    return index


def _operator(graph: Graph, op: Op, places: Mapping[str, int]) -> Any:
    made = schema.OperatorT()
    made.opcodeIndex = graph.code(op.kind, getattr(schema.BuiltinOperator, op.kind), op.version)
    made.inputs = np.array([places[name] if name else -1 for name in op.inputs], np.int32)
    made.outputs = np.array([places[op.output]], np.int32)
    if op.kind in _OPTIONS:
        made.builtinOptions = _OPTIONS[op.kind]()
        made.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[op.kind].__name__[:-1])
        for name, value in op.options.items():
            setattr(made.builtinOptions, name, value)
        for name in ("strideD", "strideH", "strideW", "dilationDFactor", "dilationHFactor", "dilationWFactor"):
            if hasattr(made.builtinOptions, name):
                setattr(made.builtinOptions, name, op.options.get(name, 1))
    return made


def _named(places: Mapping[str, int], name: str) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), places[name]
    return entry


def kinds(content: bytes) -> str:
    """The operations of a file in their order, in one line."""
    graph = Graph(content)
    return " ".join(graph.kind(op) for op in graph.ops)


def constants(content: bytes) -> list[bytes]:
    """What every constant holds that an operation reads, in the order in which they are read."""
    graph = Graph(content)
    buffers = [graph.model.buffers[graph.tensors[i].buffer].data for op in graph.ops for i in op.inputs if i >= 0]
    return [bytes(data) for data in buffers if data is not None]


def run(content: bytes, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name, by LiteRT's own kernels."""
    open_interpreter(content, kernels="builtin").allocate_tensors()  # raises what is wrong with the file
    interpreter, graph = run_keeping(content, dict(arrays)), Graph(content)
    return {graph.name(i): interpreter.get_tensor(int(i)) for i in graph.subgraph.outputs}
