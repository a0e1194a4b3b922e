"""`keras-norms verify`: an exported file against its model."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments, tables
from ..model_file import ModelFile, model_options
from ..session import session
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


@click.command(short_help="Compare a .tflite or .onnx file with its model.")
@model_options()
@click.argument("artifact", type=PATH)
@inputs_option
@tolerance_option
@trace_option
@trace_plot_option
@trace_nodes_option
@json_option
@traceback_option
def verify(
    model: ModelFile,
    artifact: Path,
    inputs: Path | None,
    tolerance: float | None,
    trace: bool,
    trace_plot: Path | None,
    trace_nodes: Path | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Run ARTIFACT (.tflite or .onnx) in its runtime and compare it with MODEL."""
    arguments.artifact(artifact, "ARTIFACT")
    files = TraceFiles(trace, trace_plot, trace_nodes)
    files.check(model.path, [artifact])
    model.check()
    arguments.present(artifact, "artifact")
    arguments.present(inputs, "file")
    with session(show_traceback) as terminal:
        with terminal.status(f"comparing {artifact} with {model.path}"):
            from keras_norms.export import verify as verify_artifact

            files.check_writable()
            given = model.path if model.as_it_is else model.load()
            report = verify_artifact(given, artifact, inputs=inputs, tolerance=tolerance, trace=files.asked)
        if as_json:
            terminal.json(report.to_dict())
        else:
            tables.verify(terminal, report)
        if report.trace is not None:
            files.write(report.trace, terminal, quiet=as_json)
        if not report.ok:
            raise click.exceptions.Exit(1)
