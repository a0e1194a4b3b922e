"""The operations of a TFLite file one by one, and which of them XNNPACK takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ....model.layer_names import layer_of
from ....report.delegate_report import XnnpackReport
from ....worker.quiet import quiet_stderr

_FREE_SIZES = (32, 64, 128, 224)
_FEW = 16


@dataclass(frozen=True)
class Tensor:
    """What an operation takes or makes: index, shape (None is free) and type; `values` of small integer constants."""

    index: int
    shape: tuple[int | None, ...]
    kind: str
    constant: bool
    values: tuple[int, ...] = ()


@dataclass(frozen=True)
class Node:
    """An operation of the main graph: its kind, the name of its first result, what it takes and makes, its options."""

    op: str
    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    def computed(self) -> tuple[Tensor, ...]:
        """What is not constant."""
        return tuple(tensor for tensor in (*self.inputs, *self.outputs) if not tensor.constant)


def nodes(path: Path) -> list[Node]:
    """The operations of the main graph in their order."""
    model = flatbuffer_utils.read_model(os.fspath(path))
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
    return code.customCode.decode() if code.customCode else flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)


def _tensor(model: Any, graph: Any, index: int, constants: Collection[int]) -> Tensor:
    tensor, data = graph.tensors[index], model.buffers[graph.tensors[index].buffer].data
    kind = flatbuffer_utils.type_to_name(tensor.type)
    few = data is not None and kind == "INT32" and len(data) <= 4 * _FEW
    values = np.frombuffer(bytes(data), np.int32).tolist() if few else ()
    return Tensor(index, _shape(tensor), kind, index in constants, tuple(values))


def _shape(tensor: Any) -> tuple[int | None, ...]:
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return tuple(None if size < 0 else int(size) for size in (() if sizes is None else sizes))


def delegated(path: Path, layers: Collection[str] | None = None) -> XnnpackReport | None:
    """What XNNPACK runs of a file, `layers` being those of its model; None if no size that is tried suits the file.

    A delegate shows as an operation whose results are those of the operations that it took over. One between a
    delegate's inputs and its results is its own; all others stay with LiteRT's kernels.
    """
    interpreter = _prepared(path)
    if interpreter is None:
        return None
    listed = interpreter._get_ops_details()
    own = [op for op in listed if op["op_name"] != "DELEGATE"]
    delegates = [op for op in listed if op["op_name"] == "DELEGATE"]
    maker = {int(i): k for k, op in enumerate(own) for i in op["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        edge = {int(i) for i in delegate["inputs"]}
        open_ = [int(i) for i in delegate["outputs"]]
        while open_:
            index = open_.pop()
            k = maker.get(index)
            if index in edge or k is None or k in taken:
                continue
            taken.add(k)
            open_ += [int(i) for i in own[k]["inputs"] if i >= 0]
    names = [node.name for node in nodes(path)]
    left = [k for k in range(len(own)) if k not in taken]
    where = [layer_of(names[k], layers) if k < len(names) and names[k] else "" for k in left]
    return XnnpackReport(
        _counts([own[k]["op_name"] for k in taken]),
        _counts([own[k]["op_name"] for k in left]),
        tuple((own[k]["op_name"], layer) for k, layer in zip(left, where, strict=True)),
        len(delegates),
    )


def _prepared(path: Path) -> Interpreter | None:
    """LiteRT with its delegate; free sizes are 1 in the file, which leaves nothing of an image behind a stride."""
    for size in (1, *_FREE_SIZES):
        with quiet_stderr(), suppress(RuntimeError):
            interpreter = Interpreter(os.fspath(path), num_threads=1)
            for detail in interpreter.get_input_details() if size > 1 else ():
                first, *rest = detail["shape_signature"] if len(detail["shape_signature"]) else (None,)
                if first is not None:
                    shape = [abs(int(first)), *(size if n < 0 else int(n) for n in rest)]
                    interpreter.resize_tensor_input(detail["index"], shape)
            interpreter.allocate_tensors()
            return interpreter
    return None


def _counts(kinds: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
