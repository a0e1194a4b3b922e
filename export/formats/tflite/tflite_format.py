"""TFLite (LiteRT): TensorFlow's converter, builtin operations only, run by ai-edge-litert."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from ...errors import ExportError
from ...options import IoDtype, NormForm, Tails, Target, TFLiteOptions, TFLiteQuantization
from ...progress import Progress
from ...quantization.budget import AUTO
from ...quantization.larger import larger_note
from ...quantization.stored_weights import StoredWeights
from ...report.delegate_report import XnnpackReport
from ...report.micro_report import MicroReport
from ...report.npu_report import NpuReport
from ...report.unquantized import Unquantized
from ...worker.client import ConversionError, run_job
from ..protocol import Conversion, Format, Runner
from . import metadata, op_facts, runtime
from .chips.chip_checks import check_chip, check_micro, check_sizes
from .chips.reports import chip_reports
from .convert.explain_failure import explain, flex_warning, float_note, narrow_note
from .delegates.xnnpack import xnnpack_report
from .tensors import tensors
from .unquantized_ops import unquantized

if TYPE_CHECKING:  # it imports Keras, and the process that runs a file does without
    from ...model.facts import ModelFacts


class TFLiteFormat:
    """`protocol.Format` for .tflite files."""

    name = "TFLite"
    modes: tuple[str, ...] = get_args(TFLiteQuantization)
    calibrated: tuple[str, ...] = ("dynamic", "int8", "int16x8", AUTO)
    channels_first = False
    converter = "formats.tflite.convert.saved_model_to_tflite"

    def check(self, options: TFLiteOptions, calibrated: bool) -> None:
        """Every combination is possible but those refused here."""
        if options.target not in (None, *get_args(Target)):
            raise ExportError(f"target must be None, 'gpu', 'npu' or 'micro'; got {options.target!r}.")
        if options.chip:
            check_chip(options)
        if options.io_dtype not in (None, *get_args(IoDtype)):
            raise ExportError(f"io_dtype must be None, 'float32' or 'int8'; got {options.io_dtype!r}.")
        if options.io_dtype == "int8" and options.quantize != "int8" and not options.integers:
            raise ExportError(
                f"io_dtype='int8' goes with quantize='int8'; quantize is {options.quantize!r}. Change one of them."
            )
        if options.quantize == AUTO and options.target is not None:
            raise ExportError(
                f"quantize='auto' is for processors: target must be None; got {options.target!r}. Leave one out."
            )
        if options.allow_flex and options.quantize in ("int8", "int16x8", AUTO):
            raise ExportError(
                f"allow_flex goes with floats: quantize must be None, 'float16' or 'dynamic'; got {options.quantize!r}."
            )
        if options.allow_flex and calibrated:
            raise ExportError(
                "calibration does not go with allow_flex: LiteRT cannot run such a file to look into it. Leave one out."
            )

    def norm_form(self, options: TFLiteOptions) -> NormForm:
        return "half" if options.target == "gpu" else "integer" if options.integers else "fast"

    def tails(self, options: TFLiteOptions) -> Tails:
        """8 bits hold a norm's result better without its gamma, whose spread weights of 8 bits hold worse.

        In "int8", where both are rounded, that gains 0 to 4 dB; where only weights are, it would lose .3 to 2.
        """
        return "none" if options.quantize in ("dynamic", "int16x8", AUTO) or options.integers else "all"

    def frozen_below(self) -> int:
        return 0

    def convert(
        self, conversion: Conversion, options: TFLiteOptions, facts: ModelFacts, say: Progress
    ) -> tuple[str, ...]:
        if options.chip:
            check_sizes(options.chip, facts.signature.inputs)
        try:
            result = run_job(
                f"{self.converter}:convert_saved_model",
                progress=say,
                conversion=conversion.to_dict(),
                options=options.to_dict(),
            )
        except ConversionError as failure:
            fixed = facts.signature.batch is not None
            raise ExportError(explain(failure, facts.layer_names, fixed)) from failure
        path, stayed = Path(conversion.path), result["stayed"]
        larger = larger_note(path.stat().st_size, result["in float32"], options.quantize)
        missing = check_micro(path, facts.layer_names) if options.target == "micro" else ()
        return (
            flex_warning(path)
            + float_note(stayed, facts.layer_names)
            + narrow_note(stayed, facts.layer_names)
            + larger
            + missing
        )

    def in_floats(self, options: TFLiteOptions) -> TFLiteOptions:
        return options.in_mode(None)

    def stored_weights(
        self, path: Path, examples: list[list[np.ndarray]], layers: Collection[str], say: Progress
    ) -> StoredWeights:
        from .quantize.narrow_weights import NarrowWeights  # it imports Keras

        return NarrowWeights(path.read_bytes(), examples, layers, say)

    def fastest(self, path: Path) -> Runner:
        return runtime.fastest(path)

    def runners(self, path: Path) -> dict[str, Runner]:
        return runtime.runners(path)

    def advisers(self, path: Path) -> dict[str, Runner]:
        return runtime.advisers(path)

    def op_counts(self, path: Path) -> dict[str, int]:
        return op_facts.op_counts(path)

    def quantized_as(self, path: Path) -> str | None:
        return op_facts.quantized_as(path)

    def tensors(self, path: Path, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        return tensors(path, arrays)

    def operation_names(self, path: Path) -> dict[str, str]:
        """None: operations are known by what they make."""
        return {}

    def unquantized(self, path: Path, mode: str, layers: Collection[str]) -> tuple[Unquantized, ...]:
        return unquantized(path, mode, layers)

    def delegate_report(self, path: Path, options: TFLiteOptions, layers: Collection[str]) -> XnnpackReport | None:
        """None for a file for a chip, and for one that may hold Flex operations: LiteRT alone cannot prepare it."""
        return None if options.allow_flex or options.chip else xnnpack_report(path, layers)

    def chip_reports(
        self, path: Path, options: TFLiteOptions, layers: Collection[str]
    ) -> tuple[MicroReport | NpuReport, ...]:
        return chip_reports(path, options.chip, layers) if options.chip else ()

    def write_metadata(self, path: Path, entries: dict[str, str]) -> None:
        metadata.write_metadata(path, entries)

    def read_metadata(self, path: Path) -> dict[str, str]:
        return metadata.read_metadata(path)


FORMAT: Format[Any] = TFLiteFormat()
