"""`keras-norms verify`: an exported file against its model."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments, tables
from ..session import session
from ..user_file import custom_objects
from .common_options import (
    PATH,
    import_option,
    inputs_option,
    json_option,
    signature_option,
    tolerance_option,
    traceback_option,
)


@click.command(short_help="Compare a .tflite or .onnx file with its model.")
@click.argument("model", type=PATH)
@click.argument("artifact", type=PATH)
@signature_option
@import_option
@inputs_option
@tolerance_option
@json_option
@traceback_option
def verify(
    model: Path,
    artifact: Path,
    signature: str | None,
    user_file: Path | None,
    inputs: Path | None,
    tolerance: float | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Run ARTIFACT (.tflite or .onnx) in its runtime and compare it with MODEL."""
    arguments.artifact(artifact, "ARTIFACT")
    arguments.present(model, "model file")
    arguments.present(artifact, "artifact")
    arguments.present(inputs, "file")
    with session(show_traceback) as terminal:
        with terminal.status(f"comparing {artifact} with {model}"):
            from keras_norms.export import verify as verify_artifact
            from keras_norms.export.loading.load_model import load_model

            named = signature or user_file
            given = load_model(model, signature, custom_objects(user_file)) if named else model
            report = verify_artifact(given, artifact, inputs=inputs, tolerance=tolerance)
        if as_json:
            terminal.json(report.to_dict())
        else:
            tables.verify(terminal, report)
        if not report.ok:
            raise click.exceptions.Exit(1)
