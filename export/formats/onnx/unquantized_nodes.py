"""Which layers of a quantized .onnx file have weights in float32, read off the file, and why."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from pathlib import Path

import onnx

from ...model.layer_names import NORM_SCOPE, layers_in
from ...report.unquantized import Unquantized, once_a_layer
from .nested_graphs import all_nodes, all_weights

# The inputs that are weights of these; of others, kernels that are constants.
_KERNELS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "Einsum": (0, 1),
    "Gather": (0,),
    "GRU": (1, 2),
    "LSTM": (1, 2),
    "RNN": (1, 2),
}
_NORMS = {"LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization", "BatchNormalization"}
_ELEMENTWISE = {"Add", "Sub", "Mul", "PRelu"}
_RECURRENT = {"GRU", "LSTM", "RNN"}
_IN_8_BITS = {"Conv", "Gemm", "MatMul", "ConvTranspose", "Gather"}
_NORM = "norms compute in float"


def unquantized(path: Path, mode: str, layers: Collection[str]) -> tuple[Unquantized, ...]:
    """The layers of `layers` that have weights in float32, in the order in which they run."""
    model = onnx.load(os.fspath(path), load_external_data=False)
    weights = {tensor.name: tensor for tensor in all_weights(model)}
    found: list[Unquantized] = []
    small: list[Unquantized] = []
    quantized: set[str] = set()
    for node in all_nodes(model):
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
            continue
        # tf2onnx gives a recurrent layer no name; what it reads has one.
        names = (node.name, *node.output[:1], *(node.input[:1] if node.op_type in _RECURRENT else ()))
        layer = next(filter(None, (layers_in(name, layers) for name in names)), "")
        places = _KERNELS.get(node.op_type, range(len(node.input)))
        given = [weights[node.input[i]] for i in places if i < len(node.input) and node.input[i] in weights]
        if any(tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) for tensor in given):
            quantized.add(layer)
        numbers = sum(math.prod(tensor.dims) for tensor in given if tensor.data_type == onnx.TensorProto.FLOAT)
        norm = f"/{NORM_SCOPE}/" in node.name or node.op_type in _NORMS
        if layer and numbers > 1 and (norm or node.op_type in _KERNELS or node.op_type in _ELEMENTWISE):
            reason = _NORM if norm else _reason(mode, node.op_type, [len(tensor.dims) for tensor in given])
            one = Unquantized(layer, node.op_type, numbers, reason)
            (small if node.op_type in _ELEMENTWISE and not norm else found).append(one)
    # A bias that is added behind a product belongs to a layer whose kernel is quantized.
    named = {one.layer for one in found}
    return once_a_layer([*found, *(one for one in small if one.layer not in quantized | named)])


def _reason(mode: str, kind: str, ranks: list[int]) -> str:
    if mode == "float16":
        return "it would overflow in half precision, or ONNX Runtime has no kernel there"
    if kind in _RECURRENT or kind not in _IN_8_BITS:
        return f"ONNX Runtime has no {kind} with 8-bit weights"
    if mode == "dynamic" and kind == "MatMul" and max(ranks) > 2:
        return "ONNX Runtime's dynamic product takes one matrix, not several at once"
    if mode == "dynamic" and kind == "ConvTranspose":
        return "ONNX Runtime has no dynamic ConvTranspose with 8-bit weights"
    return "ONNX Runtime's quantizer leaves it in float"
