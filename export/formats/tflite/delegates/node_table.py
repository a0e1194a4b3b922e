"""The operations of a TFLite file as plain values: kind, name, inputs, outputs and options of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

from ..read_file import read_file

_MOST_VALUES = 16


@dataclass(frozen=True)
class Tensor:
    """An input or output of an operation. None in `shape` is a free size; `values` are a small int32 constant's."""

    index: int
    shape: tuple[int | None, ...]
    kind: str
    constant: bool
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """An operation of the main graph; `name` is the name of its first output, `options` its flatbuffer options."""

    op: str
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    def computed(self) -> tuple[Tensor, ...]:
        """The inputs and outputs that are not constant."""
        return tuple(tensor for tensor in (*self.inputs, *self.outputs) if not tensor.constant)


def nodes(path: Path) -> list[Node]:
    """The operations of the main graph in the order in which they run."""
    model = read_file(path)
    graph = model.subgraphs[0]
    constants = {i for i, tensor in enumerate(graph.tensors) if model.buffers[tensor.buffer].data is not None}
    found = []
    for operator in graph.operators:
        kind = _kind(model, operator)
        if kind in ("DEQUANTIZE", "DENSIFY") and int(operator.inputs[0]) in constants:
            constants.add(int(operator.outputs[0]))  # delegates unpack weights before anything runs
        inputs = tuple(_tensor(model, graph, int(i), constants) for i in operator.inputs if i >= 0)
        outputs = tuple(_tensor(model, graph, int(i), constants) for i in operator.outputs if i >= 0)
        name = graph.tensors[outputs[0].index].name.decode() if outputs else ""
        found.append(Node(kind, name, inputs, outputs, operator.builtinOptions))
    return found


def _kind(model: Any, operator: Any) -> str:
    code = model.operatorCodes[operator.opcodeIndex]
    name = code.customCode.decode() if code.customCode else flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
    return str(name)


def _tensor(model: Any, graph: Any, index: int, constants: Collection[int]) -> Tensor:
    tensor, data = graph.tensors[index], model.buffers[graph.tensors[index].buffer].data
    kind = flatbuffer_utils.type_to_name(tensor.type)
    few = data is not None and kind == "INT32" and len(data) <= 4 * _MOST_VALUES
    values = np.frombuffer(bytes(data), np.int32).tolist() if few else ()
    return Tensor(index, _shape(tensor), kind, index in constants, tuple(values))


def _shape(tensor: Any) -> tuple[int | None, ...]:
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return tuple(None if size < 0 else int(size) for size in (() if sizes is None else sizes))
