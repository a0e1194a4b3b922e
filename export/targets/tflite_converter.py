"""The part of the TFLite target that runs in the child process: TensorFlow's converter and quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from ..lowerings import SCOPE
from ..quantization import load_batches


def convert_saved_model(
    saved_model: str,
    path: str,
    names: dict[str, list[str]],
    mode: str | None,
    calibration: str | None,
    flex: bool = False,
) -> None:
    """Convert a traced model, in float32 or quantized, and give it the model's names."""
    converter = _converter(saved_model, flex)
    if mode == "int8":
        flatbuffer = _int8_with_float_norms(converter, _norm_nodes(_converter(saved_model).convert()), calibration)
    else:
        _set_mode(converter, mode, calibration)
        flatbuffer = converter.convert()
    Path(path).write_bytes(_with_names(flatbuffer, names))


def _converter(saved_model: str, flex: bool = False) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    builtins, tensorflow = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    converter.target_spec.supported_ops = [builtins, tensorflow] if flex else [builtins]
    return converter


def _set_mode(converter: Any, mode: str | None, calibration: str | None) -> None:
    if mode is None:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if calibration is not None:
        kinds = tf.lite.OpsSet
        eight_by_sixteen = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        integers = {"int8": kinds.TFLITE_BUILTINS_INT8, "int16x8": eight_by_sixteen}[str(mode)]
        converter.target_spec.supported_ops = [integers, kinds.TFLITE_BUILTINS]
        converter.representative_dataset = lambda: iter(load_batches(calibration))


def _int8_with_float_norms(converter: Any, norms: list[str], calibration: str | None) -> bytes:
    """Statistics of a norm differ by orders of magnitude between groups; one 8-bit scale for them zeroes the small."""
    _set_mode(converter, "int8", calibration)
    if not norms:
        return converter.convert()
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=norms)
    dataset = converter.representative_dataset
    debugger = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=dataset, debug_options=options
    )
    return debugger.get_nondebug_quantized_model()


def _norm_nodes(flatbuffer: bytes) -> list[str]:
    graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs[0]
    names = (tensor.name.decode() for tensor in graph.tensors)
    return [name for name in names if f"/{SCOPE}/" in name]


def _with_names(flatbuffer: bytes, names: dict[str, list[str]]) -> bytes:
    """Give inputs and outputs the model's names and order: the converter sorts outputs and decorates names."""
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer))
    graph, entry = model.subgraphs[0], model.signatureDefs[0]
    for kind in ("inputs", "outputs"):
        by_position = sorted(getattr(entry, kind), key=lambda entry: int(entry.name.decode().rpartition("_")[2]))
        for tensor_map, name in zip(by_position, names[kind], strict=True):
            tensor_map.name = name.encode()
            graph.tensors[tensor_map.tensorIndex].name = name.encode()
        setattr(entry, kind, by_position)
        setattr(graph, kind, np.array([tensor_map.tensorIndex for tensor_map in by_position], np.int32))
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
