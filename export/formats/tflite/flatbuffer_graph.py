"""A TFLite flatbuffer as a graph that can be read and edited: who makes a tensor, who uses it, what it holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ...quantization.grid import packed
from ..rewrite_log import note_skip

_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT8: np.int8,
}
_WRITTEN = {**_DTYPES, schema.TensorType.FLOAT16: np.float16}
_NEW = {
    "MUL": (schema.BuiltinOperator.MUL, 1, schema.MulOptionsT),
    "ADD": (schema.BuiltinOperator.ADD, 1, schema.AddOptionsT),
    "RESHAPE": (schema.BuiltinOperator.RESHAPE, 1, schema.ReshapeOptionsT),
    "PAD": (schema.BuiltinOperator.PAD, 1, schema.PadOptionsT),
    "RSQRT": (schema.BuiltinOperator.RSQRT, 3, None),
    "MINIMUM": (schema.BuiltinOperator.MINIMUM, 4, schema.MaximumMinimumOptionsT),
    "QUANTIZE": (schema.BuiltinOperator.QUANTIZE, 2, schema.QuantizeOptionsT),
    "DEQUANTIZE": (schema.BuiltinOperator.DEQUANTIZE, 3, schema.DequantizeOptionsT),
}


@dataclass(frozen=True)
class Quantized:
    """real = scale * (integer - zero_point), with one scale, or one for each index along `axis`."""

    scale: Any
    axis: int = 0
    zero_point: int = 0


class Graph:
    """The main subgraph of a model, or another. `ops` are its operators in the order in which they run."""

    def __init__(self, flatbuffer: bytes) -> None:
        self.model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
        self._kinds = [flatbuffer_utils.opcode_to_name(self.model, i) for i in range(len(self.model.operatorCodes))]
        self.show(0)

    def show(self, subgraph: int) -> None:
        """Be that subgraph from now on."""
        self.subgraph = self.model.subgraphs[subgraph]
        self.tensors, self.ops = self.subgraph.tensors, self.subgraph.operators
        self.index()

    def all_graphs(self) -> list[Graph]:
        """This one and those of loops and branches, as views of one model: `bytes` of any is the whole file."""
        graphs = [self]
        for i in range(len(self.model.subgraphs)):
            if self.model.subgraphs[i] is not self.subgraph:
                graphs.append(view := copy(self))
                view.show(i)
        return graphs

    def index(self) -> None:
        """Find makers and users of every tensor again, after operators have changed."""
        self._users: dict[int, list[Any]] = defaultdict(list)
        self._makers: dict[int, Any] = {}
        for op in self.ops:
            for tensor in dict.fromkeys(int(i) for i in op.inputs):
                self._users[tensor].append(op)
            self._makers |= {int(i): op for i in op.outputs}

    def bytes(self) -> bytes:
        """The flatbuffer, without the data of constants that nothing reads any more."""
        used = {int(i) for op in self.ops for i in op.inputs} | {int(i) for i in self.subgraph.outputs}
        others = [graph for graph in self.model.subgraphs if graph is not self.subgraph]
        elsewhere = [tensor for graph in others for tensor in graph.tensors]
        kept = {tensor.buffer for tensor in (*elsewhere, *(self.tensors[i] for i in used if i >= 0))}
        for tensor in self.tensors:
            if tensor.buffer not in kept:
                self.model.buffers[tensor.buffer].data, tensor.buffer = None, 0
        return bytes(flatbuffer_utils.convert_object_to_bytearray(self.model))

    def kind(self, op: Any) -> str:
        """The name of an operator, as in `CONV_2D`."""
        return str(self._kinds[op.opcodeIndex])

    def users(self, tensor: int) -> list[Any]:
        """The operators that read a tensor."""
        return self._users[int(tensor)]

    def maker(self, tensor: int) -> Any:
        """The operator that computes a tensor; None for an input or a constant."""
        return self._makers.get(int(tensor))

    def is_output(self, tensor: int) -> bool:
        return int(tensor) in {int(i) for i in self.subgraph.outputs}

    def name(self, tensor: int) -> str:
        return bytes(self.tensors[tensor].name).decode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(n) for n in shape)

    def sizes(self, tensor: int) -> tuple[int | None, ...]:
        """The shape, with None for each size that is free."""
        signature = self.tensors[tensor].shapeSignature
        shape = self.shape(tensor) if signature is None or not len(signature) else signature
        return tuple(None if n < 0 else int(n) for n in shape)

    def is_float(self, tensor: int) -> bool:
        return tensor >= 0 and self.tensors[tensor].type == schema.TensorType.FLOAT32

    def constant(self, tensor: int) -> Any:
        """The values of a constant; None for a tensor that is computed, or of a type that no rewrite reads."""
        if tensor < 0 or self.tensors[tensor].type not in _DTYPES:
            return None
        data = self.model.buffers[self.tensors[tensor].buffer].data
        if data is None or not len(data):
            return None
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _DTYPES[self.tensors[tensor].type])
        return values.reshape(self.shape(tensor))

    def skip(self, op: Any, reason: str) -> None:
        """Note, for the log of rewrites, why an operator is left as it is."""
        note_skip(self.kind(op), self.name(int(op.outputs[0])), reason)

    def add_constant(self, values: np.ndarray, name: str, quantized: Quantized | None = None) -> int:
        """Add a constant and return its index: floats in float32 unless they are float16, integers in their dtype."""
        buffer = schema.BufferT()
        given = np.asarray(values).dtype
        kept = np.float32 if given.kind == "f" and given != np.float16 else given
        values = np.asarray(values, kept, order="C")  # a single number without an axis stays one
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self.add_tensor(values.shape, name, values.dtype, quantized, len(self.model.buffers) - 1)

    def release(self, tensor: int) -> None:
        """Take the data of a constant away, unless others share them: an operator gives it, or nothing reads it."""
        buffer, self.tensors[tensor].buffer = self.tensors[tensor].buffer, 0
        if all(other.buffer != buffer for graph in self.model.subgraphs for other in graph.tensors):
            self.model.buffers[buffer].data = None

    def pack_int4(self, tensor: int) -> None:
        """Make a constant of int8 that holds numbers from -8 to 7 one of int4, two of them in a byte."""
        self.model.buffers[self.tensors[tensor].buffer].data = packed(self.constant(tensor))
        self.tensors[tensor].type = schema.TensorType.INT4

    def add_tensor(
        self,
        shape: Sequence[int],
        name: str,
        dtype: Any = np.float32,
        quantized: Quantized | None = None,
        buffer: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = np.array(shape, np.int32), _type(dtype), buffer
        tensor.name, tensor.hasRank = name.encode(), True
        tensor.quantization = schema.QuantizationParametersT()
        if quantized is not None:
            tensor.quantization.scale = np.asarray(quantized.scale, np.float32).reshape(-1)
            tensor.quantization.zeroPoint = np.full(tensor.quantization.scale.size, quantized.zero_point)
            tensor.quantization.quantizedDimension = quantized.axis
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_sized(self, sizes: Sequence[int | None], name: str) -> int:
        """Add a tensor that is computed; None is a free size."""
        tensor = self.add_tensor([1 if n is None else n for n in sizes], name)
        if None in sizes:
            self.tensors[tensor].shapeSignature = np.array([-1 if n is None else n for n in sizes], np.int32)
        return tensor

    def insert(self, kind: str, before: Any, inputs: Sequence[int], output: int) -> None:
        """Insert an operator of one of `_NEW` in front of another, or, if that is None, at the end."""
        code, version, options = _NEW[kind]
        op = schema.OperatorT()
        op.opcodeIndex = self.code(kind, code, version)
        op.inputs, op.outputs = np.array(inputs, np.int32), np.array([output], np.int32)
        if options is not None:
            op.builtinOptions, op.builtinOptionsType = options(), getattr(schema.BuiltinOptions, options.__name__[:-1])
        self.ops.insert(len(self.ops) if before is None else position(self, before), op)

    def insert_binary(self, kind: str, before: Any, a: int, b: int, name: str) -> int:
        """Insert `a` MUL or ADD `b`, two tensors of one shape, in front of an operator; return the result's index."""
        output = self.add_tensor(self.shape(a), name)
        self.tensors[output].shapeSignature = self.tensors[a].shapeSignature
        self.insert(kind, before, [a, b], output)
        return output

    def code(self, kind: str, builtin: int, version: int) -> int:
        """The index of an operator code, added if need be, and raised to at least `version`."""
        if kind not in self._kinds:
            code = schema.OperatorCodeT()
            # The field of one byte that the first files had says 127 where a code does not fit.
            code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
            code.version = version
            self.model.operatorCodes.append(code)
            self._kinds.append(kind)
        index = self._kinds.index(kind)
        code = self.model.operatorCodes[index]
        code.version = max(version, code.version)
        return index


def _type(dtype: Any) -> int:
    return int(next(kind for kind, known in _WRITTEN.items() if known == dtype))


def position(graph: Graph, op: Any) -> int:
    """The position of this very operator: operators compare by their contents, and two may be equal."""
    return next(i for i, other in enumerate(graph.ops) if other is op)


def replace_input(op: Any, old: int, new: int) -> None:
    """Make an operator read tensor `new` wherever it reads `old`."""
    op.inputs = np.array([new if int(i) == old else int(i) for i in op.inputs], np.int32)
