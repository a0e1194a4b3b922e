"""Quantization of an ONNX graph by ONNX Runtime's own tools; what belongs to a norm stays in float32."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common
from onnxruntime import quantization as ort
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from ....model.layer_names import NORM_SCOPE
from ....progress import Progress, counted, silent
from ....quantization.calibration import load_batches
from ..nested_graphs import all_nodes
from .embedding_tables import tables_in_eight_bits

_WEIGHTED = ["Conv", "ConvTranspose", "Gemm", "MatMul"]
# Beside what ONNX Runtime knows: IsInf and ScatterND have no float16 in every opset, Softplus overflows there at 11.
_IN_FLOAT32 = [*DEFAULT_OP_BLOCK_LIST, "IsInf", "ScatterND", "Softplus"]


def quantize(model: onnx.ModelProto, mode: str, calibration: str | None, say: Progress = silent) -> onnx.ModelProto:
    """The quantized form of `model`: `float16`, `dynamic` or `int8` (QDQ, a scale for each output channel)."""
    if mode == "float16":
        return _in_half_precision(model)
    with tempfile.TemporaryDirectory() as folder:
        source, ready, target = (Path(folder) / f"{name}.onnx" for name in ("source", "ready", "target"))
        onnx.save(model, source)
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        if mode == "dynamic":
            # Unsigned weights: ONNX Runtime has no ConvInteger for signed ones before 1.24.
            kinds = {"op_types_to_quantize": _WEIGHTED, "weight_type": ort.QuantType.QUInt8}
            ort.quantize_dynamic(ready, target, per_channel=True, nodes_to_exclude=_batched(onnx.load(ready)), **kinds)
            return tables_in_eight_bits(_sorted(onnx.load(target)))
        reader = _Reader([value.name for value in model.graph.input], str(calibration), say)
        ort.quantize_static(ready, target, reader, op_types_to_quantize=_WEIGHTED, per_channel=True)
        return tables_in_eight_bits(_unrounded_for_floats(onnx.load(target)))


def _batched(model: onnx.ModelProto) -> list[str]:
    """Products with several matrices at once, which ONNX Runtime's dynamic kernel does not run."""
    several = {weights.name for weights in model.graph.initializer if len(weights.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and several & set(node.input)]


def _in_half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` in float16 but for its inputs, its outputs and its norms."""
    norms = [node.name for node in model.graph.node if _of_norm(node.name)]
    for node in all_nodes(model):
        if node.op_type == "Resize" and len(node.input) > 3:
            node.input[2] = ""  # scales without a number, which a cast would hide
    blocked = {"op_block_list": _IN_FLOAT32, "node_block_list": norms}
    half = ir.from_proto(convert_float_to_float16(model, keep_io_types=True, **blocked))
    half.graph.sort()  # the casts of the inputs come in last
    proto: onnx.ModelProto = ir.to_proto(half)
    del proto.graph.value_info[:]  # of the types before
    return proto


def _unrounded_for_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with norms and softmaxes that read the float32 results before them, not these rounded to 8 bits.

    In a residual network of group norms that gains 4 dB. A softmax between roundings would be computed in 8 bits.
    """
    graph = (quantized := ir.from_proto(model)).graph
    for node in graph:
        made = node.inputs[0].producer() if node.op_type == "DequantizeLinear" and node.inputs[0] is not None else None
        if made is not None and made.op_type == "QuantizeLinear":
            for user, i in list(node.outputs[0].uses()):
                if _of_norm(user.name) or user.op_type == "Softmax":
                    user.replace_input_with(i, made.inputs[0])
    common.RemoveUnusedNodesPass()(quantized)
    return _sorted(ir.to_proto(quantized))


def _sorted(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with operations behind those whose results they take: what a loop takes is quantized behind the loop."""
    (in_order := ir.from_proto(model)).graph.sort()
    return ir.to_proto(in_order)


def _of_norm(name: str | None) -> bool:
    return f"/{NORM_SCOPE}/" in (name or "")


class _Reader(ort.CalibrationDataReader):
    """The calibration batches of a file, one after another, as ONNX Runtime asks for them."""

    def __init__(self, names: list[str], calibration: str, say: Progress) -> None:
        batches = load_batches(calibration)
        feeds = [dict(zip(names, batch, strict=True)) for batch in batches]
        self._feeds = counted(feeds, say, "calibration examples run", len(batches[0][0]))

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._feeds, None)
