"""What one call of `keras-norms export` asks for: checked before any work, then handed to the public functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .. import arguments
from ..budget_options import BudgetOptions
from ..model_file import ModelFile
from ..trace_files import TraceFiles

if TYPE_CHECKING:  # importing it imports Keras
    from collections.abc import Callable

    import keras
    from keras_norms.export import ExportReport

Quantize = Literal["float16", "dynamic", "int8", "int16x8", "auto"]
Target = Literal["gpu", "npu", "micro"]


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """The arguments and options of `keras-norms export`, by the names that click gives them."""

    model: ModelFile
    outs: tuple[Path, ...]
    quantize: Quantize | None
    calibration: Path | None
    budget: BudgetOptions
    inputs: Path | None
    io_dtype: Literal["float32", "int8"] | None
    batch_size: int | None
    opset: int | None
    norms: Literal["fast", "standard"] | None
    layout: Literal["keras", "nchw"] | None
    no_fold: bool
    target: Target | None
    c_array: Path | None
    allow_flex: bool
    labels: Path | None
    certificate: bool
    tolerance: float | None
    trace: TraceFiles

    def check(self) -> None:
        """Check the options against each other and against the suffixes of the targets.

        Raises:
            click.UsageError: If an option has no target to work on, or needs another option.
            click.ClickException: If there is no model file.
        """
        arguments.export_options(self.model.path, self.outs, self.quantize, self.calibration, self.opset)
        self.budget.check(self.quantize, self.model.path, self.outs)
        arguments.onnx_only(self.outs, {"--norms": self.norms, "--layout": self.layout})
        tflite = {"--io-dtype": self.io_dtype, "--target": self.target, "--allow-flex": self.allow_flex}
        arguments.tflite_only(self.outs, {**tflite, "--c-array": self.c_array})
        on_a_chip = self.target in ("npu", "micro")
        if self.io_dtype == "int8" and self.quantize != "int8" and not (on_a_chip and self.quantize == "int16x8"):
            raise click.UsageError("--io-dtype int8 goes with --quantize int8, or int16x8 for --target npu or micro.")
        if self.certificate:
            written = [path for out in self.outs for path in (out, out.with_name(f"{out.name}.json"))]
            arguments.distinct(self.model.path, written)
        if self.c_array is not None:
            if len(files := [out for out in self.outs if out.suffix == ".tflite"]) > 1:
                raise click.UsageError(f"--c-array goes with one .tflite file; got {len(files)}.")
            arguments.distinct(self.model.path, [*self.outs, self.c_array])
        certificates = [out.with_name(f"{out.name}.json") for out in self.outs if self.certificate]
        also = [] if self.c_array is None else [self.c_array]
        self.trace.check(self.model.path, [*self.outs, *certificates, *also], len(self.outs))
        self.model.check()
        arguments.present(self.calibration, "file")
        arguments.present(self.inputs, "file")

    def write(
        self,
        model: keras.Model,
        out: Path,
        *,
        labels: list[str] | None,
        progress: Callable[[str], object],
    ) -> ExportReport:
        """Write the loaded model as `out`; `labels` are what their file holds."""
        return WRITERS[out.suffix](self, model, out, labels, progress)

    def write_tflite(
        self, model: keras.Model, out: Path, labels: list[str] | None, progress: Callable[[str], object]
    ) -> ExportReport:
        """`write` for a .tflite file."""
        from keras_norms.export import to_tflite

        return to_tflite(
            model,
            out,
            io_dtype=self.io_dtype,
            target=self.target,
            c_array=self.c_array,
            allow_flex=self.allow_flex,
            quantize=self.quantize,
            calibration=self.calibration,
            max_bytes=self.budget.max_bytes,
            min_db=self.budget.min_db,
            inputs=self.inputs,
            batch_size=self.batch_size,
            fold=not self.no_fold,
            tolerance=self.tolerance,
            labels=labels,
            certificate=self.certificate,
            trace=self.trace.asked,
            progress=progress,
        )

    def write_onnx(
        self, model: keras.Model, out: Path, labels: list[str] | None, progress: Callable[[str], object]
    ) -> ExportReport:
        """`write` for a .onnx file."""
        from keras_norms.export import to_onnx

        assert self.quantize != "int16x8", "refused by `check`: .onnx does not have it"
        return to_onnx(
            model,
            out,
            opset=self.opset,
            norms=self.norms or "fast",
            layout=self.layout or "keras",
            quantize=self.quantize,
            calibration=self.calibration,
            max_bytes=self.budget.max_bytes,
            min_db=self.budget.min_db,
            inputs=self.inputs,
            batch_size=self.batch_size,
            fold=not self.no_fold,
            tolerance=self.tolerance,
            labels=labels,
            certificate=self.certificate,
            trace=self.trace.asked,
            progress=progress,
        )


# A row for each format; a test compares the suffixes with those of `keras_norms.export.formats`.
WRITERS = {".tflite": ExportRequest.write_tflite, ".onnx": ExportRequest.write_onnx}
