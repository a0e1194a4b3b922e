"""The operations of a TFLite file one by one, and which of them XNNPACK takes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ..quiet import quiet_stderr

# What LiteRT's own check for its GPU delegate lets pass (tflite/tools/versioning/gpu_compatibility.cc, 2026).
_GPU_OPS = """
ABS ADD ADD_N ATAN2 AVERAGE_POOL_2D BATCH_MATMUL BITCAST CAST CEIL CONCATENATION CONV_2D COS CUMSUM DENSIFY
DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV
FLOOR_MOD FULLY_CONNECTED GATHER GELU GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
LOGICAL_NOT LOGICAL_OR LOGISTIC LSTM MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL ONE_HOT PACK PAD
PADV2 POW PRELU QUANTIZE REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD RELU RELU6 RELU_N1_TO_1 RESHAPE
RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RIGHT_SHIFT ROUND RSQRT SELECT SELECT_V2 SIGN SIN SLICE SOFTMAX
SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CBRT
STABLEHLO_CLAMP STABLEHLO_REMAINDER STABLEHLO_SHIFT_LEFT STRIDED_SLICE SUB SUM TANH TILE TOPK_V2 TRANSPOSE
TRANSPOSE_CONV
"""
GPU_OPS = frozenset(_GPU_OPS.split())


@dataclass(frozen=True)
class Node:
    """An operation of the main graph: its kind, the name of its first result, shapes (None is free) and types.

    `operands` are those of its inputs that are computed, constants left out.
    """

    op: str
    name: str
    operands: tuple[tuple[int | None, ...], ...]
    results: tuple[tuple[int | None, ...], ...]
    kinds: tuple[str, ...]


def nodes(path: Path) -> list[Node]:
    """The operations of the main graph in their order."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    graph = model.subgraphs[0]
    return [_node(model, graph, operator) for operator in graph.operators]


def _node(model: Any, graph: Any, operator: Any) -> Node:
    code = model.operatorCodes[operator.opcodeIndex]
    kind = code.customCode.decode() if code.customCode else flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)
    results = [graph.tensors[i] for i in operator.outputs if i >= 0]
    computed = [graph.tensors[i] for i in operator.inputs if i >= 0]
    computed = [tensor for tensor in computed if model.buffers[tensor.buffer].data is None]
    return Node(
        kind,
        results[0].name.decode() if results else "",
        tuple(_shape(tensor) for tensor in computed),
        tuple(_shape(tensor) for tensor in results),
        tuple(flatbuffer_utils.type_to_name(tensor.type) for tensor in (*computed, *results)),
    )


def _shape(tensor: Any) -> tuple[int | None, ...]:
    sizes = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return tuple(None if size < 0 else int(size) for size in (() if sizes is None else sizes))


@dataclass(frozen=True)
class Delegated:
    """What XNNPACK runs of a file: operations taken and left, by kind; the names of those left; how many partitions."""

    taken: dict[str, int]
    left: dict[str, int]
    left_names: tuple[tuple[str, str], ...]
    partitions: int


def delegated(path: Path) -> Delegated:
    """Ask LiteRT: a delegate shows as an operation whose results are those of the operations that it took over.

    An operation between a delegate's inputs and its results is its own; all others stay with LiteRT's kernels.
    """
    with quiet_stderr():
        interpreter = Interpreter(os.fspath(path), num_threads=1)
        interpreter.allocate_tensors()
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
    left = tuple((op["op_name"], names[k] if k < len(names) else "") for k, op in enumerate(own) if k not in taken)
    return Delegated(_counts([own[k]["op_name"] for k in taken]), _counts([op for op, _ in left]), left, len(delegates))


def _counts(kinds: list[str]) -> dict[str, int]:
    return dict(sorted(Counter(kinds).items()))
