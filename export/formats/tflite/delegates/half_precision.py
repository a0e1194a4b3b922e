"""A TFLite file as a delegate in half precision would run it: every number between two operations is a half.

Each result passes through CAST to float16 and back, constants are rounded once. Within an operation the sums stay in
single precision, which not every GPU grants: what overflows here overflows there, and more may.
"""

from __future__ import annotations

import copy
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ....model.float16 import FLOAT16_LARGEST, FLOAT16_SMALLEST_NORMAL
from ..run_preserving import run_keeping


class HalfResult(NamedTuple):
    """A float result of an operation: its kind, the tensor's name, its values in single precision and in half."""

    op: str
    name: str
    single: np.ndarray
    half: np.ndarray


def half_constants(path: Path) -> list[tuple[str, str, float]]:
    """(operation, its name, value) of each single number that float16 holds with fewer digits or not at all."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    graph, found = model.subgraphs[0], []
    for operator in graph.operators:
        for index in (i for i in operator.inputs if i >= 0):
            data, tensor = model.buffers[graph.tensors[index].buffer].data, graph.tensors[index]
            if data is None or tensor.type != schema.TensorType.FLOAT32 or len(data) != 4:
                continue
            value = float(np.frombuffer(bytes(data), np.float32)[0])
            if value and not FLOAT16_SMALLEST_NORMAL <= abs(value) <= FLOAT16_LARGEST:
                kind = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
                found.append((kind, graph.tensors[operator.outputs[0]].name.decode(), value))
    return found


def run_in_half(path: Path, arrays: dict[str, np.ndarray]) -> list[HalfResult]:
    """Each float result, in the order in which the operations run."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    single = _run(model, arrays)
    half = _run(_rounded(model), arrays)
    graph, rows = model.subgraphs[0], []
    for operator in graph.operators:
        kind = flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
        for index in (int(i) for i in operator.outputs if i >= 0):
            if graph.tensors[index].type == schema.TensorType.FLOAT32 and index in single and index in half:
                with np.errstate(over="ignore"):
                    rounded = half[index].astype(np.float16).astype(np.float32)
                rows.append(HalfResult(kind, graph.tensors[index].name.decode(), single[index], rounded))
    return rows


def _rounded(model: Any) -> Any:
    """The same graph with every float result, input and constant rounded to half before it is used."""
    model = copy.deepcopy(model)
    graph = model.subgraphs[0]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CAST
    model.operatorCodes.append(code)
    for tensor in graph.tensors:
        buffer = model.buffers[tensor.buffer]
        if tensor.type == schema.TensorType.FLOAT32 and buffer.data is not None:
            with np.errstate(over="ignore"):
                rounded = np.frombuffer(bytes(buffer.data), np.float32).astype(np.float16).astype(np.float32)
            buffer.data = np.frombuffer(rounded.tobytes(), np.uint8)
    replaced: dict[int, int] = {}
    operators = []
    for index in graph.inputs:
        operators += _casts(model, int(index), replaced)
    for operator in graph.operators:
        operator.inputs = np.array([replaced.get(int(i), int(i)) for i in operator.inputs], np.int32)
        operators.append(operator)
        for index in operator.outputs:
            operators += _casts(model, int(index), replaced)
    graph.operators = operators
    return model


def _casts(model: Any, index: int, replaced: dict[int, int]) -> list[Any]:
    """Two operations, to half and back, for a float tensor; `replaced` gets the tensor that is to be read instead."""
    graph = model.subgraphs[0]
    if index < 0 or graph.tensors[index].type != schema.TensorType.FLOAT32:
        return []
    made = []
    for kind in (schema.TensorType.FLOAT16, schema.TensorType.FLOAT32):
        tensor = copy.deepcopy(graph.tensors[index])
        tensor.type, tensor.buffer, tensor.name = kind, 0, tensor.name + b"/half"
        graph.tensors.append(tensor)
        cast = schema.OperatorT()
        cast.opcodeIndex = len(model.operatorCodes) - 1
        cast.inputs = np.array([replaced.get(index, index)], np.int32)
        cast.outputs = np.array([len(graph.tensors) - 1], np.int32)
        cast.builtinOptionsType, cast.builtinOptions = schema.BuiltinOptions.NONE, None
        replaced[index] = len(graph.tensors) - 1
        made.append(cast)
    return made


def _run(model: Any, arrays: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    """Results by tensor; those that the interpreter does not keep, such as some of a loop's, are left out."""
    interpreter = run_keeping(bytes(flatbuffer_utils.convert_object_to_bytearray(copy.deepcopy(model))), arrays)
    results = {}
    for index in (int(i) for operator in model.subgraphs[0].operators for i in operator.outputs if i >= 0):
        with suppress(ValueError):
            results[index] = interpreter.get_tensor(index)
    return results
