"""ONNX: tf2onnx, lifted past its newest opset by onnx's own version converter, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import onnx

from ...errors import ExportError
from ...model.layer_names import names_apart
from ...options import Layout, NormForm, Norms, OnnxOptions, OnnxQuantization, Tails
from ...progress import Progress
from ...quantization.budget import AUTO
from ...quantization.larger import larger_note
from ...quantization.stored_weights import StoredWeights
from ...report.delegate_report import XnnpackReport
from ...report.micro_report import MicroReport
from ...report.npu_report import NpuReport
from ...report.unquantized import Unquantized
from ...worker.client import ConversionError, run_job, stop_child
from ..protocol import Conversion, Format, Runner
from . import metadata, runtime
from .convert.unsupported import explain
from .external_data import data_path
from .graph_facts import GraphFacts
from .io_layout import channels_first, in_file_layout
from .nested_graphs import all_nodes, all_weights
from .runtime_abilities import DEFAULT_OPSET, OLDEST_OPSET, layer_norm_is_exact, newest_opset
from .tensors import tensors
from .unquantized_nodes import unquantized

if TYPE_CHECKING:  # it imports Keras, and the process that runs a file does without
    from ...model.facts import ModelFacts

_LAYER_NORM_SINCE, _INT4_SINCE, _RMS_NORM_SINCE = 17, 21, 23
DATA_ABOVE = 1_500_000_000  # bytes of weights that still fit into one protobuf, with room for the rest


class OnnxFormat:
    """`protocol.Format` for .onnx files."""

    name = "ONNX"
    modes: tuple[str, ...] = get_args(OnnxQuantization)
    calibrated: tuple[str, ...] = ("int8", AUTO)
    channels_first = True
    converter = "formats.onnx.convert.saved_model_to_onnx"

    def check(self, options: OnnxOptions, calibrated: bool) -> None:
        opset = options.opset
        valid = isinstance(opset, int) and not isinstance(opset, bool) and OLDEST_OPSET <= opset <= newest_opset()
        if opset is not None and not valid:
            raise ExportError(
                f"opset must be an integer from {OLDEST_OPSET} to {newest_opset()} (the newest the installed ONNX "
                f"Runtime runs); got {opset!r}."
            )
        for option, got, choices in (("norms", options.norms, Norms), ("layout", options.layout, Layout)):
            if got not in get_args(choices):
                raise ExportError(f"{option} must be one of {', '.join(map(repr, get_args(choices)))}; got {got!r}.")

    def norm_form(self, options: OnnxOptions) -> NormForm:
        return "fast"

    def tails(self, options: OnnxOptions) -> Tails:
        """The operators of layer and RMS norm have gamma and beta within at no cost. In "int8" decibels count.

        `TFLiteFormat.tails` says why, and why not in "dynamic". Where an opset lacks the operators, ONNX Runtime makes
        one kernel of a norm only with its gamma: LayerNormalization came with 17, RMSNormalization with 23.
        """
        if options.quantize == "int8":
            return "all but RMS" if (options.opset or DEFAULT_OPSET) >= _LAYER_NORM_SINCE else "groups"
        return "groups" if options.quantize not in ("dynamic", AUTO) and options.norms == "fast" else "none"

    def frozen_below(self) -> int:
        return DATA_ABOVE // 3  # each step of the converter copies the graph

    def convert(
        self, conversion: Conversion, options: OnnxOptions, facts: ModelFacts, say: Progress
    ) -> tuple[str, ...]:
        """Weights of more than 1.5 GB go to a file beside `conversion.path`."""
        from .convert.detect_layout import is_channels_first

        graph = GraphFacts(newest_opset(), layer_norm_is_exact(), is_channels_first(facts.model), DATA_ABOVE)
        outputs = names_apart(conversion.outputs, conversion.inputs)
        try:
            in_floats = run_job(
                f"{self.converter}:convert_saved_model",
                progress=say,
                conversion={**conversion.to_dict(), "outputs": outputs},
                options=options.to_dict(),
                facts=asdict(graph),
            )
        except ConversionError as failure:
            raise _refusal(failure, options, facts.layer_names) from failure
        path = Path(conversion.path)
        if data_path(path).is_file():
            stop_child()  # TensorFlow gives back no memory, and verifying needs it
        turned = channels_first(path)
        larger = larger_note(path.stat().st_size, in_floats, options.quantize)
        turned_note = (f"channels first, as layout='nchw' asks: {', '.join(turned)}",) if turned else ()
        return turned_note + larger

    def in_floats(self, options: OnnxOptions) -> OnnxOptions:
        """At an opset that has int4, if none was asked for."""
        since = _RMS_NORM_SINCE if options.norms == "standard" else _INT4_SINCE
        opset = options.opset or min(since, newest_opset())
        return replace(options.in_mode(None), opset=opset)

    def stored_weights(
        self, path: Path, examples: list[list[np.ndarray]], layers: Collection[str], say: Progress
    ) -> StoredWeights:
        if data_path(path).is_file():
            raise ExportError(f"quantize='auto' is for models of less than {DATA_ABOVE:,} bytes. Leave it out.")
        from .quantize.fewer_bits import FewerBits  # it imports Keras

        return FewerBits(onnx.load(os.fspath(path)), _in_file_layout(path, examples), layers, say)

    def fastest(self, path: Path) -> Runner:
        return runtime.fastest(path)

    def runners(self, path: Path) -> dict[str, Runner]:
        return runtime.runners(path)

    def advisers(self, path: Path) -> dict[str, Runner]:
        return runtime.advisers(path)

    def op_counts(self, path: Path) -> dict[str, int]:
        model = onnx.load(os.fspath(path), load_external_data=False)
        return dict(sorted(Counter(node.op_type for node in all_nodes(model)).items()))

    def quantized_as(self, path: Path) -> str | None:
        """The mode, read off the operations and the weights, those in loops and branches too."""
        model = onnx.load(os.fspath(path), load_external_data=False)
        kinds = {node.op_type for node in all_nodes(model)}
        if kinds & {"DynamicQuantizeLinear", "MatMulInteger", "ConvInteger"}:
            return "dynamic"
        if "QuantizeLinear" in kinds:
            return "int8"
        stored = {tensor.data_type for tensor in all_weights(model) if len(tensor.dims) > 1}
        if stored & {onnx.TensorProto.INT8, onnx.TensorProto.INT4}:
            return "dynamic"
        half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in all_weights(model))
        return "float16" if half else None

    def tensors(self, path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        return tensors(path, in_file_layout(arrays, channels_first(path)))

    def operation_names(self, path: Path) -> dict[str, str]:
        model = onnx.load(os.fspath(path), load_external_data=False)
        return {name: node.name for node in model.graph.node if node.name for name in node.output}

    def unquantized(self, path: Path, mode: str, layers: Collection[str]) -> tuple[Unquantized, ...]:
        return unquantized(path, mode, layers)

    def delegate_report(self, path: Path, options: OnnxOptions, layers: Collection[str]) -> XnnpackReport | None:
        return None

    def chip_reports(
        self, _path: Path, _options: OnnxOptions, _layers: Collection[str]
    ) -> tuple[MicroReport | NpuReport, ...]:
        return ()

    def write_metadata(self, path: Path, entries: dict[str, str]) -> None:
        metadata.write_metadata(path, entries)

    def read_metadata(self, path: Path) -> dict[str, str]:
        return metadata.read_metadata(path)


def _in_file_layout(path: Path, examples: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    names, turned = [spec.name for spec in runtime.OnnxRunner(path).inputs], channels_first(path)
    return [list(in_file_layout(dict(zip(names, arrays, strict=True)), turned).values()) for arrays in examples]


def _refusal(failure: ConversionError, options: OnnxOptions, layers: Collection[str]) -> ExportError:
    if failure.kind != "UnavailableNormError":
        return ExportError(explain(failure, layers))
    return ExportError(
        f"norms='standard' needs {failure}; got opset={options.opset}, and ONNX Runtime runs up to {newest_opset()}. "
        "Raise opset, or leave norms at 'fast'."
    )


FORMAT: Format[Any] = OnnxFormat()
