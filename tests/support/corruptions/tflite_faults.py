"""The faults that a .tflite file can have."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from .corruption import Corruption, is_epsilon, weight_faults

T = schema.TensorType
DTYPES = {T.FLOAT32: "float32", T.FLOAT16: "float16", T.INT8: "int8", T.INT16: "int16", T.INT32: "int32"}
RELU, RELU6, NONE = (getattr(schema.ActivationFunctionType, name) for name in ("RELU", "RELU6", "NONE"))
WITH_BIAS = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
REDUCTIONS = {"MEAN", "SUM", "REDUCE_MAX"}
ORDERED = {"SUB", "DIV", "CONCATENATION", "SQUARED_DIFFERENCE", "POW"}
TWINS = {
    "MAX_POOL_2D": "AVERAGE_POOL_2D",
    "AVERAGE_POOL_2D": "MAX_POOL_2D",
    "MEAN": "SUM",
    "REDUCE_MAX": "MEAN",
    "TANH": "LOGISTIC",
    "LOGISTIC": "TANH",
    "RSQRT": "SQRT",
    "MAXIMUM": "MINIMUM",
}
Edit = Callable[[Any], None]


def corruptions(content: bytes) -> Iterator[Corruption]:
    model = _read(content)
    found = [*_of_weights(model), *_of_operations(model), *_of_interface(model)]
    for kind, where, edit in found:
        yield Corruption(kind, where, lambda sound, edit=edit: _edited(sound, edit))


def _read(content: bytes) -> Any:
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def _edited(content: bytes, edit: Edit) -> bytes:
    model = _read(content)
    edit(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _kind(model: Any, op: Any) -> str:
    return str(flatbuffer_utils.opcode_to_name(model, op.opcodeIndex))


def _array(model: Any, tensor: Any) -> np.ndarray | None:
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type not in DTYPES:
        return None
    return np.frombuffer(bytes(data), DTYPES[tensor.type]).reshape(tensor.shape if tensor.shape is not None else ())


def _operations(model: Any) -> Iterator[tuple[int, int, str, Any]]:
    for s, subgraph in enumerate(model.subgraphs):
        for o, op in enumerate(subgraph.operators):
            yield s, o, _kind(model, op), op


def _of_weights(model: Any) -> Iterator[tuple[str, str, Edit]]:
    seen = set()
    for s, o, kind, op in _operations(model):
        for slot, index in enumerate(map(int, op.inputs)):
            tensor = model.subgraphs[s].tensors[index] if index >= 0 else None
            w = None if tensor is None else _array(model, tensor)
            if w is None:
                continue
            where = f"{kind} {o}, input {slot}"
            yield from _of_parameters(kind, slot, w, where, s, index)
            bias = WITH_BIAS.get(kind) == slot
            if is_epsilon(w) and kind == "ADD":
                yield "epsilon x2 in one norm", where, _own(s, o, slot, w * w.dtype.type(2))
            if bias and np.any(w):
                yield "bias zeroed", where, _holding(s, index, np.zeros_like(w))
            if tensor.buffer in seen or (w.dtype == "int32" and not bias):
                continue
            seen.add(tensor.buffer)
            if is_epsilon(w):
                yield "epsilon x2", where, _holding(s, index, w * w.dtype.type(2))
            elif w.size > 1 or kind in ("MUL", "ADD", "SUB", "DIV"):
                rng = np.random.default_rng(zlib.crc32(where.encode()))
                for fault, changed in weight_faults(w, rng):
                    if changed.tobytes() != w.tobytes():
                        yield fault, where, _holding(s, index, changed)
            yield from _of_scales(tensor, where, s, index)


def _of_parameters(kind: str, slot: int, w: np.ndarray, where: str, s: int, index: int) -> Iterator[Any]:
    """Faults of what tells an operation over which axes, in which order or how far it works."""
    if w.dtype != "int32" or slot == 0:
        return
    if kind in REDUCTIONS and w.size:
        other = w.copy()
        last = other.flat[-1]
        other.flat[-1] = last - 1 if last - 1 not in w and last > 1 else last + 1
        yield "axis", where, _holding(s, index, other)
    if kind == "TRANSPOSE" and w.size > 1:
        for i in range(1, w.size - 1):
            order = w.copy()
            order[[i, i + 1]] = order[[i + 1, i]]
            yield "permutation", where, _holding(s, index, order)
    if kind in ("PAD", "PADV2", "MIRROR_PAD") and np.any(w):
        yield "padding", where, _holding(s, index, np.ascontiguousarray(w[:, ::-1]))
        row = int(np.argmax(w.sum(1)))
        moved = w.copy()
        moved[row] = [w[row].sum(), 0]
        yield "padding", where, _holding(s, index, moved)


def _of_scales(tensor: Any, where: str, s: int, index: int) -> Iterator[Any]:
    q = tensor.quantization
    scales = None if q is None else q.scale
    if scales is None or not len(scales):
        return
    for by in (1.01, 1.1):
        yield "scale of a weight", where, _quantized(s, index, scales=np.asarray(scales) * np.float32(by))
    one = np.array(scales, np.float32)
    one[len(one) // 2] *= 1.5
    yield "scale of a weight", where, _quantized(s, index, scales=one)


def _holding(s: int, index: int, values: np.ndarray) -> Edit:
    def edit(model: Any) -> None:
        buffer = model.buffers[model.subgraphs[s].tensors[index].buffer]
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)

    return edit


def _own(s: int, o: int, slot: int, values: np.ndarray) -> Edit:
    """A constant that other operations share, changed for one of them."""

    def edit(model: Any) -> None:
        sub = model.subgraphs[s]
        op = sub.operators[o]
        tensor, buffer = copy.deepcopy(sub.tensors[int(op.inputs[slot])]), schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
        sub.tensors.append(tensor)
        op.inputs = np.array(op.inputs)
        op.inputs[slot] = len(sub.tensors) - 1

    return edit


def _quantized(s: int, index: int, scales: Any = None, zero: int = 0) -> Edit:
    def edit(model: Any) -> None:
        q = model.subgraphs[s].tensors[index].quantization
        if scales is not None:
            q.scale = np.asarray(scales, np.float32)
        if zero:
            q.zeroPoint = np.asarray(q.zeroPoint) + zero

    return edit


def _of_operations(model: Any) -> Iterator[tuple[str, str, Edit]]:
    for s, o, kind, op in _operations(model):
        where, options = f"{kind} {o}", op.builtinOptions
        yield from _of_options(s, o, options, where)
        if kind in ORDERED and len(op.inputs) > 1:
            yield "inputs swapped", where, _operator(s, o, lambda op: setattr(op, "inputs", op.inputs[::-1].copy()))
        if kind in TWINS:
            yield "another operation", where, _another(s, o, TWINS[kind])
        sub = model.subgraphs[s]
        x, y = (sub.tensors[int(i)] for i in (op.inputs[0], op.outputs[0]))
        if list(_shape(x)) == list(_shape(y)) and x.type == y.type and _array(model, x) is None:
            yield "operation dropped", where, _dropped(s, o)
        if _array(model, y) is None:
            yield from _of_activation_scales(y, where, s, int(op.outputs[0]))


def _of_activation_scales(y: Any, where: str, s: int, index: int) -> Iterator[Any]:
    scales = None if y.quantization is None else y.quantization.scale
    if scales is None or len(scales) != 1 or y.type not in (T.INT8, T.INT16):
        return
    for by in (1.1, 2):
        yield "scale of a tensor", where, _quantized(s, index, scales=np.asarray(scales) * by)
    for zero in (5, -20) if y.type == T.INT8 else ():
        yield "zero point", where, _quantized(s, index, zero=zero)


def _of_options(s: int, o: int, options: Any, where: str) -> Iterator[Any]:
    for fault, values in (*_of_activation(options), *_of_window(options), *_of_others(options, where)):
        yield fault, where, _operator(s, o, lambda op, values=values: _set(op.builtinOptions, values))


def _set(options: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(options, name, value)


def _of_activation(options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    now = getattr(options, "fusedActivationFunction", None)
    for other, name in ((NONE, "activation dropped"), (RELU, "ReLU put in"), (RELU6, "ReLU6 put in")):
        if now not in (None, other) and not (now == NONE and other == RELU6):
            yield name, {"fusedActivationFunction": other}


def _of_window(options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if hasattr(options, "padding"):
        yield "padding", {"padding": 1 - options.padding}
    if hasattr(options, "strideH"):
        yield "stride", {"strideH": options.strideH % 2 + 1, "strideW": options.strideW % 2 + 1}
        yield "stride", {"strideW": options.strideW % 2 + 1}
    if hasattr(options, "dilationHFactor") and options.strideH == 1:
        yield "dilation", {"dilationHFactor": options.dilationHFactor % 2 + 1}
        yield "dilation", {"dilationWFactor": options.dilationWFactor % 2 + 1}
    if hasattr(options, "filterHeight"):
        yield "pool size", {"filterHeight": options.filterHeight + 1}


def _of_others(options: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("beta", "alpha"):
        if getattr(options, name, 0):
            yield "slope", {name: getattr(options, name) * 1.1}
    if hasattr(options, "keepDims"):
        yield "axis", {"keepDims": not options.keepDims}
    if where.startswith("CONCATENATION"):
        yield "axis", {"axis": options.axis - 1}
    if hasattr(options, "adjY"):
        yield "kernel transposed", {"adjY": not options.adjY}
    if hasattr(options, "halfPixelCenters"):
        yield "alignment", {"halfPixelCenters": not options.halfPixelCenters}


def _operator(s: int, o: int, change: Callable[[Any], Any]) -> Edit:
    return lambda model: change(model.subgraphs[s].operators[o])


def _another(s: int, o: int, kind: str) -> Edit:
    def edit(model: Any) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 2
        model.operatorCodes.append(code)
        model.subgraphs[s].operators[o].opcodeIndex = len(model.operatorCodes) - 1

    return edit


def _dropped(s: int, o: int) -> Edit:
    def edit(model: Any) -> None:
        sub = model.subgraphs[s]
        op = sub.operators.pop(o)
        source, target = int(op.inputs[0]), int(op.outputs[0])
        for other in sub.operators:
            other.inputs = np.where(np.asarray(other.inputs) == target, source, other.inputs).astype(np.int32)
        sub.outputs = np.where(np.asarray(sub.outputs) == target, source, sub.outputs).astype(np.int32)
        for signature in model.signatureDefs or []:
            for entry in signature.outputs if signature.subgraphIndex == s else []:
                entry.tensorIndex = source if entry.tensorIndex == target else entry.tensorIndex

    return edit


def _shape(tensor: Any) -> Any:
    return tensor.shape if tensor.shape is not None else ()


def _of_interface(model: Any) -> Iterator[tuple[str, str, Edit]]:
    sub = model.subgraphs[0]
    for index in map(int, sub.inputs):
        for k in range(1, len(_shape(sub.tensors[index]))):
            yield "static shape", f"input {index}, dimension {k}", _resized(index, k, signature=False)
        yield "static shape", f"input {index}, said as well", _resized(index, len(_shape(sub.tensors[index])) - 1, True)
    for side in ("inputs", "outputs"):
        entries = getattr(model.signatureDefs[0], side) if model.signatureDefs else []
        if len(entries) > 1:
            yield f"names of {side} swapped", side, lambda model, side=side: _swap_names(model, side)


def _resized(index: int, k: int, signature: bool) -> Edit:
    def edit(model: Any) -> None:
        tensor = model.subgraphs[0].tensors[index]
        for name in ("shape", "shapeSignature") if signature else ("shape",):
            sizes = getattr(tensor, name)
            if name == "shapeSignature" and sizes is None:
                continue
            sizes = np.array(sizes)
            sizes[k] += 1
            setattr(tensor, name, sizes)

    return edit


def _swap_names(model: Any, side: str) -> None:
    entries = getattr(model.signatureDefs[0], side)
    a, b = entries[0], entries[1]
    a.tensorIndex, b.tensorIndex = b.tensorIndex, a.tensorIndex
