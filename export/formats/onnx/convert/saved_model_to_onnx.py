"""The part of the ONNX target that runs in the child process: from a SavedModel to the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from ....progress import Progress, silent
from ..external_data import CHANNELS_FIRST, DATA_HASH, data_path
from ..passes.norm_forms import UnavailableNormError
from ..passes.pass_types import PassOptions
from ..passes.run_passes import optimize
from ..passes.tidy_names import tidy
from ..quantize.ort_quantizer import quantize
from .tensorflow_to_onnx import NEWEST_OPSET, from_tensorflow

_DEFAULT_OPSET = 18
_ALWAYS_INSIDE = 1024  # bytes: smaller tensors stay in the .onnx file
_BLOCK = 1 << 24


def convert_saved_model(
    saved_model: str,
    path: str,
    names: dict[str, list[str]],
    opset: int | None,
    newest_opset: int,
    mode: str | None,
    calibration: str | None,
    channels_first_io: bool,
    channels_first_model: bool,
    standard_norms: bool,
    layer_norm: bool,
    data_above: int,
    progress: Progress = silent,
) -> None:
    """Convert a traced model, in float32 or quantized, under the model's names.

    Weights of more than `data_above` bytes in all go to a file of their own.
    """
    wanted = opset or _DEFAULT_OPSET
    source, weights = from_tensorflow(saved_model, names, min(wanted, NEWEST_OPSET), data_above // 3)
    beside = sum(array.nbytes for array in weights.values()) > data_above
    if beside and mode is not None:
        raise ValueError(f"quantize={mode!r} is for models of less than {data_above:,} bytes; leave it out")
    options = PassOptions(
        channels_first_io=channels_first_io,
        channels_first_model=channels_first_model,
        standard_norms=standard_norms,
        layer_norm_is_exact=layer_norm,
        norms_in_either_layout=mode is None,  # channels last they have products, which would be quantized
    )
    while True:
        model = _lifted(source, wanted, weights)
        try:
            turned = optimize(model, options)
            break
        except UnavailableNormError as error:
            if opset is not None or error.since > newest_opset:
                raise
            wanted = error.since
    if turned:
        model.metadata_props[CHANNELS_FIRST] = json.dumps(turned)
    tidy(model)
    if beside:
        _write_with_data(model, Path(path))
        return
    proto = ir.to_proto(model)
    if mode is not None:
        proto = quantize(proto, mode, calibration, progress)
    onnx.checker.check_model(proto, full_check=True)
    Path(path).write_bytes(proto.SerializeToString(deterministic=True))


def _lifted(source: onnx.ModelProto, opset: int, weights: dict[str, np.ndarray]) -> ir.Model:
    """The graph at `opset`, the weights that were set aside back in it."""
    if opset > NEWEST_OPSET:
        source = onnx.version_converter.convert_version(source, opset)
    model = ir.from_proto(source)
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in weights]:
        graph.inputs.remove(value)
        value.const_value = ir.tensor(weights[str(value.name)], name=value.name)
        value.shape = ir.Shape(weights[str(value.name)].shape)
        graph.register_initializer(value)
    return model


def _write_with_data(model: ir.Model, path: Path) -> None:
    data = data_path(path)
    ir.save(model, path, external_data=data.name, size_threshold_bytes=_ALWAYS_INSIDE)
    digest = hashlib.sha256()
    with data.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    proto = onnx.load(path, load_external_data=False)
    onnx.helper.set_model_props(proto, {**model.metadata_props, DATA_HASH: digest.hexdigest()})
    path.write_bytes(proto.SerializeToString(deterministic=True))
    onnx.checker.check_model(path, full_check=True)
