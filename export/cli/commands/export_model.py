"""`keras-norms export`: .tflite and .onnx files that are only written once they reproduce the model."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from .. import arguments, tables
from ..budget_options import BudgetOptions
from ..model_file import ModelFile, model_options
from ..session import session
from ..terminal import Terminal
from ..trace_files import TraceFiles
from .common_options import (
    PATH,
    inputs_option,
    json_option,
    tolerance_option,
    trace_nodes_option,
    trace_option,
    trace_plot_option,
    traceback_option,
)
from .export_request import ExportRequest, Quantize, Target

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export import ExportReport


@click.command(short_help="Write .tflite and .onnx files, verified.")
@model_options()
@click.argument("outs", type=PATH, nargs=-1, required=True, metavar="OUT [OUT ...]")
@click.option("--quantize", type=click.Choice(arguments.MODES), help="Store weights, or compute, in fewer bits.")
@click.option("--calibration", type=PATH, metavar="FILE.npz", help="Typical inputs, for a quantized file.")
@click.option("--max-bytes", type=click.IntRange(min=1), metavar="N", help="For auto: the most bytes of a file.")
@click.option(
    "--min-db",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DB",
    help="For auto: the least signal to noise ratio of an output.",
)
@click.option(
    "--size-plot", type=PATH, metavar="FILE.png", help="For auto: draw size against ratio (.png, .svg or .pdf)."
)
@inputs_option
@click.option(
    "--io-dtype", type=click.Choice(["float32", "int8"]), help="Type of the inputs and outputs of an int8 .tflite file."
)
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Fix the batch dimension.  [default: free]")
@click.option("--opset", type=click.IntRange(min=1), metavar="N", help="The opset of .onnx files.")
@click.option(
    "--norms",
    type=click.Choice(["fast", "standard"]),
    help="Norms in .onnx files: the fastest operations, or one standard operator each.",
)
@click.option("--layout", type=click.Choice(["keras", "nchw"]), help="Layout of the inputs and outputs of .onnx files.")
@click.option("--no-fold", is_flag=True, help="Leave every norm as it is.")
@click.option(
    "--target",
    type=click.Choice(["gpu", "npu", "micro"]),
    help="Write a .tflite file for half precision, for chips of integers, or for TFLite Micro.",
)
@click.option("--c-array", type=PATH, metavar="FILE.h", help="Also write the .tflite file as an array for firmware.")
@click.option(
    "--allow-flex", is_flag=True, help="Allow TensorFlow's own operations where TFLite has none, for .tflite."
)
@click.option("--labels", type=PATH, metavar="FILE.txt", help="Names of the classes, one a line, to store in the file.")
@click.option("--certificate", is_flag=True, help="Also write OUT.json: hashes, versions, inputs tried, every error.")
@tolerance_option
@trace_option
@trace_plot_option
@trace_nodes_option
@json_option
@traceback_option
def export(
    model: ModelFile,
    outs: tuple[Path, ...],
    quantize: Quantize | None,
    calibration: Path | None,
    max_bytes: int | None,
    min_db: float | None,
    size_plot: Path | None,
    inputs: Path | None,
    io_dtype: Literal["float32", "int8"] | None,
    batch_size: int | None,
    opset: int | None,
    norms: Literal["fast", "standard"] | None,
    layout: Literal["keras", "nchw"] | None,
    no_fold: bool,
    target: Target | None,
    c_array: Path | None,
    allow_flex: bool,
    labels: Path | None,
    certificate: bool,
    tolerance: float | None,
    trace: bool,
    trace_plot: Path | None,
    trace_nodes: Path | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Write MODEL as each OUT: .tflite or .onnx.

    The norms are folded first. A file appears only when the real runtime computes from it what the model does.
    """
    request = ExportRequest(
        model=model,
        outs=outs,
        quantize=quantize,
        calibration=calibration,
        budget=BudgetOptions(max_bytes, min_db, size_plot),
        inputs=inputs,
        io_dtype=io_dtype,
        batch_size=batch_size,
        opset=opset,
        norms=norms,
        layout=layout,
        no_fold=no_fold,
        target=target,
        c_array=c_array,
        allow_flex=allow_flex,
        labels=labels,
        certificate=certificate,
        tolerance=tolerance,
        trace=TraceFiles(trace, trace_plot, trace_nodes),
    )
    request.check()
    with session(show_traceback) as terminal:
        reports = _write_all(request, terminal, quiet=as_json)
        if as_json:
            terminal.json([report.to_dict() for report in reports])


def _write_all(request: ExportRequest, terminal: Terminal, quiet: bool) -> list[ExportReport]:
    """Load the model once and write every target; show each report as its file is done, unless `quiet`."""
    from keras_norms.export.artifact.atomic_write import check_writable

    for out in request.outs:
        check_writable(out)
    request.trace.check_writable()
    request.budget.check_writable()
    with terminal.status(f"reading {request.model.path}"):
        model = request.model.load()
    labels = arguments.lines(request.labels) if request.labels else None
    reports: list[ExportReport] = []
    for out in request.outs:
        with terminal.status(f"{out}: starting") as update:
            progress = partial(_show_stage, update, out)
            with request.trace.of_refused(terminal, quiet=quiet):
                reports.append(request.write(model, out, labels=labels, progress=progress))
        if not quiet:
            tables.export(terminal, reports[-1], first=len(reports) == 1)
        request.budget.write(reports[-1].budget, terminal, quiet=quiet)
        if reports[-1].trace is not None:
            request.trace.write(reports[-1].trace, terminal, quiet=quiet)
    return reports


def _show_stage(update: Callable[[str], object], out: Path, stage: str) -> None:
    update(f"{out}: {stage}")
