"""From a SavedModel to a .tflite file, in the converting process: TensorFlow's converter and the quantizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.tools import flatbuffer_utils

from ....options import TFLiteOptions
from ....progress import Progress, silent
from ....quantization.calibration import load_batches
from ...protocol import Conversion
from ...stages import HALF, SINGLE
from ..chips.memory_plan import plan_memory
from ..quantize.calibrated import quantize
from ..quantize.dynamic_range import round_kernels
from ..quantize.integers import quantize_throughout
from .drop_unused import drop_unused
from .fuse_conv3d_bias import with_biases
from .lower_erf import by_tanh
from .lower_roll import in_two
from .lower_slice import apart
from .restore_fp32_scalars import whole_scalars
from .rewrite_saved_model import rewritten
from .scale_sums import as_means
from .size_in_floats import size_in_floats
from .stage_sums import in_stages
from .whole_biases import with_whole_biases

# What the converter has no form for: a slice that inserts dimensions where several sizes are free, a roll, and erf
# outside of GELU.
_REWRITES = {"StridedSlice": apart, "Roll": in_two, "Erf": by_tanh, "Erfc": by_tanh}


def convert_saved_model(
    conversion: dict[str, Any], options: dict[str, Any], progress: Progress = silent
) -> dict[str, Any]:
    """The job of the converting process: a recorded model as a .tflite file, in float32 or quantized.

    The arguments are `Conversion` and `TFLiteOptions` as plain data. Returns what "stayed" in float, and the bytes "in
    float32" of a quantized file, where they may be fewer.
    """
    job = Conversion(**conversion)
    chosen = TFLiteOptions(**options)
    flatbuffer, stayed, in_floats = _flatbuffer(job, chosen, progress)
    half = chosen.target == "gpu"
    # After quantization, whose integers add up exactly: only what stays in float is left to cut.
    flatbuffer = in_stages(as_means(flatbuffer) if half else flatbuffer, HALF if half else SINGLE)
    named = _with_names(flatbuffer, {"inputs": job.inputs, "outputs": job.outputs}, chosen.chip is not None)
    Path(job.path).write_bytes(named)
    if chosen.quantize == "float16":
        in_floats = size_in_floats(named)
    return {"stayed": stayed, "in float32": in_floats}


def _flatbuffer(
    job: Conversion, options: TFLiteOptions, say: Progress
) -> tuple[bytes, dict[str, list[str]], int | None]:
    saved_model, mode, flex = job.saved_model, options.quantize, options.allow_flex
    if job.calibration is None:
        made = _converted(saved_model, mode, flex)
        if mode == "float16":
            made = whole_scalars(made, lambda: _converted(saved_model, None, flex))
        return (made if mode is not None else with_biases(made)), {}, None
    made, batches = _converted(saved_model, None, flex), load_batches(job.calibration)
    if options.integers:
        return *quantize_throughout(made, options, batches, say), None
    if mode == "dynamic":
        return round_kernels(made, _converted(saved_model, mode, flex), batches, say), {}, None
    named = _with_names(made, {"inputs": job.inputs, "outputs": job.outputs}, planned=False)
    return *quantize(made, str(mode), batches, options.io_dtype, say), len(named)


def _converted(saved_model: str, mode: str | None, flex: bool) -> bytes:
    try:
        return with_whole_biases(bytes(_converter(saved_model, mode, flex=False).convert()))
    except Exception as error:  # the converter's own, and whatever its passes raise
        needed = {kind: rewrite for kind, rewrite in _REWRITES.items() if kind in str(error)}
        if not rewritten(Path(saved_model), needed) and not flex:
            raise
    return with_whole_biases(bytes(_converter(saved_model, mode, flex).convert()))


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


def _with_names(flatbuffer: bytes, names: Mapping[str, Sequence[str]], planned: bool) -> bytes:
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
    drop_unused(model)
    if planned:
        plan_memory(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))
