"""The operations of a TFLite file one by one, and which of them XNNPACK takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from ..naming import layer_of
from ..quiet import quiet_stderr
from ..report.delegates import XnnpackReport

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
_FREE_SIZES = (32, 64, 128, 224)


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
