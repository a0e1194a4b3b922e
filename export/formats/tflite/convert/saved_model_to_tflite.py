"""The part of the TFLite target that runs in the child process: TensorFlow's converter and quantizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from ....progress import Progress, silent
from ....quantization.modes import load_batches
from ..quantize.calibrated import quantize
from ..quantize.dynamic_range import round_kernels
from .fuse_conv3d_bias import with_biases
from .lower_roll import in_two
from .lower_slice import apart
from .restore_fp32_scalars import whole_scalars
from .rewrite_saved_model import rewritten

# What the converter has no form for: a slice that inserts dimensions where several sizes are free, and a roll.
_REWRITES = {"StridedSlice": apart, "Roll": in_two}


def convert_saved_model(
    saved_model: str,
    path: str,
    names: dict[str, list[str]],
    mode: str | None,
    calibration: str | None,
    flex: bool = False,
    io_dtype: str | None = None,
    progress: Progress = silent,
) -> dict[str, list[str]]:
    """Convert a traced model, in float32 or quantized, and give it the model's names; return what stayed in float."""
    stayed: dict[str, list[str]] = {}
    flatbuffer = _converted(saved_model, mode if calibration is None else None, flex)
    if calibration is not None and mode == "dynamic":
        quantized = _converted(saved_model, mode, flex)
        flatbuffer = round_kernels(flatbuffer, quantized, load_batches(calibration), progress)
    elif calibration is not None:
        flatbuffer, stayed = quantize(flatbuffer, str(mode), load_batches(calibration), io_dtype, progress)
    elif mode == "float16":
        flatbuffer = whole_scalars(flatbuffer, lambda: _converted(saved_model, None, flex))
    elif mode is None:
        flatbuffer = with_biases(flatbuffer)
    Path(path).write_bytes(_with_names(flatbuffer, names))
    return stayed


def _converted(saved_model: str, mode: str | None, flex: bool) -> bytes:
    try:
        return _converter(saved_model, mode, flex=False).convert()
    except Exception as error:  # the converter's own, and whatever its passes raise
        needed = {kind: rewrite for kind, rewrite in _REWRITES.items() if kind in str(error)}
        if not rewritten(Path(saved_model), needed) and not flex:
            raise
    return _converter(saved_model, mode, flex).convert()


def _converter(saved_model: str, mode: str | None, flex: bool) -> Any:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model)
    builtins, tensorflow = tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS
    converter.target_spec.supported_ops = [builtins, tensorflow] if flex else [builtins]
    _set_mode(converter, mode)
    return converter


def _set_mode(converter: Any, mode: str | None) -> None:
    if mode is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]


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
