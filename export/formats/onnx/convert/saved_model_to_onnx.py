"""From a SavedModel to an .onnx file, in the converting process."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ....options import OnnxOptions
from ....progress import Progress, silent
from ...protocol import Conversion
from ..external_data import DATA_HASH, data_path
from ..graph_facts import GraphFacts
from ..io_layout import CHANNELS_FIRST
from ..passes.norm_forms import UnavailableNormError
from ..passes.pass_types import PassOptions
from ..passes.run_passes import optimize
from ..passes.tidy_names import tidy
from ..quantize.ort_quantizer import quantize
from ..runtime_abilities import DEFAULT_OPSET
from .operator_sets import import_what_is_used
from .tensorflow_to_onnx import NEWEST_OPSET, from_tensorflow

_ALWAYS_INSIDE = 1024  # bytes: smaller tensors stay in the .onnx file
_BLOCK = 1 << 24


def convert_saved_model(
    conversion: dict[str, Any], options: dict[str, Any], facts: dict[str, Any], progress: Progress = silent
) -> int | None:
    """The job of the converting process: a recorded model as an .onnx file, in float32 or quantized.

    The arguments are `Conversion`, `OnnxOptions` and `GraphFacts` as plain data. Returns how many bytes a quantized
    file would have in float32.
    """
    return _Job(Conversion(**conversion), OnnxOptions(**options), GraphFacts(**facts), progress).run()


@dataclass(frozen=True)
class _Job:
    conversion: Conversion
    options: OnnxOptions
    facts: GraphFacts
    say: Progress

    def run(self) -> int | None:
        wanted, path = self.options.opset or DEFAULT_OPSET, Path(self.conversion.path)
        source, weights = from_tensorflow(
            self.conversion.saved_model,
            {"inputs": list(self.conversion.inputs), "outputs": list(self.conversion.outputs)},
            min(wanted, NEWEST_OPSET),
            self.facts.data_above // 3,
        )
        beside = sum(array.nbytes for array in weights.values()) > self.facts.data_above
        mode = self.options.quantize
        if beside and mode is not None:
            raise ValueError(
                f"quantize={mode!r} is for models of less than {self.facts.data_above:,} bytes; leave it out"
            )
        model = self._rewritten(source, weights, wanted)
        if beside:
            _write_with_data(model, path)
            return None
        proto, in_floats = ir.to_proto(model), None
        if mode is not None:
            in_floats = proto.ByteSize()
            proto = quantize(proto, mode, self.conversion.calibration, self.say)
        import_what_is_used(proto)
        onnx.checker.check_model(proto, full_check=True)
        path.write_bytes(proto.SerializeToString(deterministic=True))
        return in_floats

    def _rewritten(self, source: onnx.ModelProto, weights: dict[str, np.ndarray], wanted: int) -> ir.Model:
        """The graph after all passes, at the wanted opset or, where none was asked for, at one that has the norms."""
        while True:
            model = _lifted(source, wanted, weights)
            try:
                turned = optimize(model, self._pass_options())
                break
            except UnavailableNormError as error:
                if self.options.opset is not None or error.since > self.facts.newest_opset:
                    raise
                wanted = error.since
        if turned:
            model.metadata_props[CHANNELS_FIRST] = json.dumps(turned)
        tidy(model)
        return model

    def _pass_options(self) -> PassOptions:
        return PassOptions(
            channels_first_io=self.options.layout == "nchw",
            channels_first_model=self.facts.channels_first_model,
            standard_norms=self.options.norms == "standard",
            layer_norm_is_exact=self.facts.layer_norm_is_exact,
            # Channels last they have products, which would be quantized.
            norms_in_either_layout=self.options.quantize is None,
        )


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
    import_what_is_used(proto)
    onnx.helper.set_model_props(proto, {**model.metadata_props, DATA_HASH: digest.hexdigest()})
    path.write_bytes(proto.SerializeToString(deterministic=True))
    onnx.checker.check_model(path, full_check=True)
