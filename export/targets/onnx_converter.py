"""The part of the ONNX target that runs in the child process: from a SavedModel to the file."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ir as ir

from .onnx_graph import tidy
from .onnx_optimizer import optimize
from .onnx_quantizer import quantize
from .onnx_tensorflow import NEWEST_OPSET, from_tensorflow


def convert_saved_model(
    saved_model: str,
    path: str,
    names: dict[str, list[str]],
    opset: int,
    mode: str | None,
    calibration: str | None,
    channels_first_io: bool,
    standard_norms: bool,
    layer_norm: bool,
) -> None:
    """Convert a traced model, in float32 or quantized, under the model's names."""
    proto = from_tensorflow(saved_model, names, min(opset, NEWEST_OPSET))
    if opset > NEWEST_OPSET:
        proto = onnx.version_converter.convert_version(proto, opset)
    model = ir.from_proto(proto)
    optimize(model, channels_first_io=channels_first_io, standard_norms=standard_norms, layer_norm=layer_norm)
    proto = tidy(model)
    if mode is not None:
        proto = quantize(proto, mode, calibration)
    onnx.checker.check_model(proto, full_check=True)
    Path(path).write_bytes(proto.SerializeToString(deterministic=True))
