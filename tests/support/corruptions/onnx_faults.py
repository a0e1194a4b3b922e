"""The faults that an .onnx file can have."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from .corruption import Corruption, is_epsilon, weight_faults

WITH_BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "LSTM": 3, "GRU": 3}
ORDERED = {"Sub", "Div", "Concat", "Pow"}
TWINS = {
    "MaxPool": "AveragePool",
    "AveragePool": "MaxPool",
    "GlobalAveragePool": "GlobalMaxPool",
    "GlobalMaxPool": "GlobalAveragePool",
    "ReduceMean": "ReduceSum",
    "Sigmoid": "Tanh",
    "Tanh": "Sigmoid",
    "Relu": "Abs",
    "Add": "Mul",
    "Sub": "Add",
}
SLOPES, WINDOW = ("alpha", "beta"), ("pads", "strides", "dilations")
SWITCHES = {  # attributes that are 0 or 1
    "count_include_pad": "padding",
    "linear_before_reset": "another operation",
    "transA": "kernel transposed",
    "transB": "kernel transposed",
    "keepdims": "axis",
}
Edit = Callable[[Any], None]


def corruptions(content: bytes) -> Iterator[Corruption]:
    model = onnx.load_from_string(content)
    shapes = _shapes(model)
    found = [*_of_weights(model), *_of_operations(model, shapes), *_of_interface(model)]
    for kind, where, edit in found:
        yield Corruption(kind, where, lambda sound, edit=edit: _edited(sound, edit))


def _edited(content: bytes, edit: Edit) -> bytes:
    model = onnx.load_from_string(content)
    edit(model)
    return bytes(model.SerializeToString())


def _shapes(model: Any) -> dict[str, tuple[Any, ...]]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.value_info, *graph.input, *graph.output]
    return {
        v.name: tuple(d.dim_value or d.dim_param for d in v.type.tensor_type.shape.dim)
        for v in values
        if v.type.tensor_type.HasField("shape")
    }


def _of_weights(model: Any) -> Iterator[tuple[str, str, Edit]]:
    held = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    seen = set()
    for n, node in enumerate(model.graph.node):
        for slot, name in enumerate(node.input):
            if name not in held:
                continue
            w, where = held[name], f"{node.op_type} {n}, input {slot}"
            yield from _of_parameters(node.op_type, slot, name, w, where)
            if is_epsilon(w) and node.op_type == "Add":
                yield "epsilon x2 in one norm", where, _own(n, slot, w * w.dtype.type(2))
            if WITH_BIAS.get(node.op_type) == slot and np.any(w):
                yield "bias zeroed", where, _holding(name, np.zeros_like(w))
            if name in seen or w.dtype.name not in ("float32", "float16", "int8", "uint8") or not w.size:
                continue
            seen.add(name)
            if is_epsilon(w) and node.op_type == "Add":
                yield "epsilon x2", where, _holding(name, w * w.dtype.type(2))
            elif node.op_type in ("QuantizeLinear", "DequantizeLinear") and slot > 0:
                continue
            elif w.size > 1 or node.op_type in ("Mul", "Add", "Sub", "Div"):
                rng = np.random.default_rng(zlib.crc32(where.encode()))
                for fault, changed in weight_faults(w, rng):
                    if changed.tobytes() != w.tobytes():
                        yield fault, where, _holding(name, changed)


def _of_parameters(kind: str, slot: int, name: str, w: np.ndarray, where: str) -> Iterator[Any]:
    """Faults of scales and zero points, and of what tells an operation over which axes or how far it works."""
    if kind in ("QuantizeLinear", "DequantizeLinear") and slot == 1:
        what = "scale of a weight" if w.size > 1 else "scale of a tensor"
        for by in (1.01, 1.1, 2):
            yield what, where, _holding(name, (w * by).astype(w.dtype))
        one = np.array(w)
        one.flat[w.size // 2] *= 1.5
        yield what, where, _holding(name, one)
    if kind in ("QuantizeLinear", "DequantizeLinear") and slot == 2 and w.size == 1:
        info = np.iinfo(w.dtype)
        for by in (5, -20):
            yield "zero point", where, _holding(name, np.clip(w.astype(int) + by, info.min, info.max).astype(w.dtype))
    if kind.startswith("Reduce") and slot == 1 and w.size:
        other = w.copy()
        last = other.flat[-1]
        other.flat[-1] = last - 1 if last - 1 not in w and last not in (0, 1) else last + 1
        yield "axis", where, _holding(name, other)
    if kind == "Pad" and slot == 1 and np.any(w):
        half = w.size // 2
        yield "padding", where, _holding(name, np.concatenate([w[half:] + w[:half], 0 * w[:half]]))


def _holding(name: str, values: np.ndarray) -> Edit:
    def edit(model: Any) -> None:
        tensor = next(t for t in model.graph.initializer if t.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), name))

    return edit


def _own(n: int, slot: int, values: np.ndarray) -> Edit:
    """A constant that other nodes share, changed for one of them."""

    def edit(model: Any) -> None:
        model.graph.initializer.append(numpy_helper.from_array(values, "corrupt_epsilon"))
        model.graph.node[n].input[slot] = "corrupt_epsilon"

    return edit


def _of_operations(model: Any, shapes: dict[str, tuple[Any, ...]]) -> Iterator[tuple[str, str, Edit]]:
    held = {t.name for t in model.graph.initializer}
    for n, node in enumerate(model.graph.node):
        kind, where = node.op_type, f"{node.op_type} {n}"
        for attribute in node.attribute:
            for fault, value in _of_attribute(kind, attribute.name, helper.get_attribute_value(attribute)):
                yield fault, f"{where}, {attribute.name}", _attribute(n, attribute.name, value)
        if kind == "Conv" and not any(a.name == "dilations" and max(a.ints) > 1 for a in node.attribute):
            yield "dilation", where, _dilated(n)
        if kind in ORDERED and len(node.input) > 1:
            yield "inputs swapped", where, _with_node(n, _reverse_inputs)
        if kind in TWINS:
            yield "another operation", where, _with_node(n, lambda node, to=TWINS[kind]: _renamed(node, to))
        x, y = node.input[0] if node.input else "", node.output[0]
        if x not in held and x in shapes and shapes[x] == shapes.get(y):
            yield "operation dropped", where, _with_node(n, _identity)
            if kind == "Relu":
                yield "activation dropped", where, _with_node(n, _identity)
                yield "ReLU6 put in", where, _behind(n, "clip")
        if kind in ("Conv", "Gemm", "MatMul", "Add", "ConvTranspose", "GroupNormalization", "LayerNormalization"):
            yield "ReLU put in", where, _behind(n, "relu")


def _of_attribute(kind: str, name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name in WINDOW:
        yield from _of_window(name, value)
    if name in SWITCHES:
        yield SWITCHES[name], 1 - value
    if name in ("num_groups", "group") and value > 1:
        yield "groups", 1
    if name == "epsilon":
        yield "epsilon x2 in one norm", value * 2
    if name in SLOPES and kind not in ("LSTM", "GRU"):
        yield "slope", value * 1.1
    if name == "perm":
        for i in range(1, len(value) - 1):
            yield "permutation", [*value[:i], value[i + 1], value[i], *value[i + 2 :]]
    if name == "axis" and kind not in ("QuantizeLinear", "DequantizeLinear"):
        yield "axis", value - 1 if value != 0 else 1
    if name == "kernel_shape" and "Pool" in kind:
        yield "pool size", [value[0] + 1, *value[1:]]
    if name == "direction" and value in (b"forward", b"reverse"):
        yield "another operation", b"reverse" if value == b"forward" else b"forward"


def _of_window(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if name == "pads" and any(value):
        half = len(value) // 2
        before, after = np.array(value[:half]), np.array(value[half:])
        yield "padding", [*map(int, before + after), *map(int, 0 * after)]
        yield "padding", [0] * len(value)
    if name == "strides":
        yield "stride", [value[0] % 2 + 1, *value[1:]]
        yield "stride", [v % 2 + 1 for v in value]
    if name == "dilations" and max(value) > 1:
        yield "dilation", [1] * len(value)


def _with_node(n: int, change: Callable[[Any], Any]) -> Edit:
    return lambda model: change(model.graph.node[n])


def _attribute(n: int, name: str, value: Any) -> Edit:
    def edit(node: Any) -> None:
        kept = [a for a in node.attribute if a.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return _with_node(n, edit)


def _dilated(n: int) -> Edit:
    """Twice as wide, and padded so that the shape stays."""

    def edit(node: Any) -> None:
        said = {a.name: list(a.ints) for a in node.attribute if a.ints}
        kernel = said.get("kernel_shape", [])
        rank = len(kernel)
        pads = said.get("pads", [0] * 2 * rank)
        more = [k - 1 for k in kernel]
        wider = [p + (m + 1) // 2 for p, m in zip(pads[:rank], more, strict=True)]
        wider += [p + m // 2 for p, m in zip(pads[rank:], more, strict=True)]
        for name, value in {"dilations": [2] * rank, "pads": wider}.items():
            kept = [a for a in node.attribute if a.name != name]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return _with_node(n, edit)


def _reverse_inputs(node: Any) -> None:
    names = list(node.input)[::-1]
    del node.input[:]
    node.input.extend(names)


def _renamed(node: Any, kind: str) -> None:
    node.op_type = kind
    dropped = {"MaxPool": ("count_include_pad",), "AveragePool": ("storage_order",)}.get(kind, ())
    kept = [a for a in node.attribute if a.name not in dropped]
    del node.attribute[:]
    node.attribute.extend(kept)


def _identity(node: Any) -> None:
    first = node.input[0]
    del node.input[:]
    node.input.append(first)
    node.op_type = "Identity"
    node.domain = ""
    del node.attribute[:]
    del node.output[1:]


def _behind(n: int, what: str) -> Edit:
    """A ReLU, or a limit of 6, behind an operation."""

    def edit(model: Any) -> None:
        node = model.graph.node[n]
        name = node.output[0]
        node.output[0] = f"{name}_before"
        if what == "relu":
            put = helper.make_node("Relu", [node.output[0]], [name])
        else:
            model.graph.initializer.append(numpy_helper.from_array(np.array(6, np.float32), "corrupt_six"))
            put = helper.make_node("Min", [node.output[0], "corrupt_six"], [name])
        model.graph.node.insert(n + 1, put)

    return edit


def _of_interface(model: Any) -> Iterator[tuple[str, str, Edit]]:
    for i, x in enumerate(model.graph.input):
        sizes = x.type.tensor_type.shape.dim
        for k, size in enumerate(sizes):
            if size.dim_value:
                yield "static shape", f"input {i}, dimension {k}", _resized(i, k)
    for side in ("input", "output"):
        if len(getattr(model.graph, side)) > 1:
            yield f"names of {side}s swapped", side, lambda model, side=side: _swap_names(model, side)


def _resized(i: int, k: int) -> Edit:
    def edit(model: Any) -> None:
        model.graph.input[i].type.tensor_type.shape.dim[k].dim_value += 1

    return edit


def _swap_names(model: Any, side: str) -> None:
    values = getattr(model.graph, side)
    a, b = values[0].name, values[1].name
    turned = {a: b, b: a}
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [turned.get(name, name) for name in names]
    values[0].name, values[1].name = b, a
