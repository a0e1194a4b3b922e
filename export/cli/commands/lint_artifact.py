"""`keras-norms lint`: what the delegates of a phone make of a .tflite file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from .. import arguments, tables
from ..session import session
from .common_options import PATH, json_option, traceback_option


@click.command(short_help="Say what delegates take of a .tflite file.")
@click.argument("artifact", type=PATH)
@click.option("--model", type=PATH, metavar="MODEL", help="The model it is made from, for its layers' exact names.")
@click.option("--calibration", type=PATH, metavar="FILE.npz", help="Typical inputs, to emulate half precision on.")
@click.option("--target", type=click.Choice(["npu", "micro"]), help="Say what this chip makes of it instead.")
@json_option
@traceback_option
def lint(
    artifact: Path,
    model: Path | None,
    calibration: Path | None,
    target: Literal["npu", "micro"] | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Say what XNNPACK takes of ARTIFACT (.tflite) and what a GPU or NPU would reject or compute badly, and why.

    With --target: what an Ethos-U leaves to the processor, by Arm's compiler, or what TFLite Micro has no kernel for.

    Ends with 1 if there is a finding.
    """
    if artifact.suffix != ".tflite":
        raise click.BadParameter(f"'{artifact}' must end in .tflite.", param_hint="'ARTIFACT'")
    arguments.present(artifact, "artifact")
    arguments.present(model, "model file")
    arguments.present(calibration, "file")
    with session(show_traceback) as terminal:
        with terminal.status(f"looking at {artifact}"):
            from keras_norms.export import lint as lint_artifact

            report = lint_artifact(artifact, model=model, calibration=calibration, target=target)
        if as_json:
            terminal.json(report.to_dict())
        else:
            tables.lint(terminal, report)
        if not report.ok:
            raise click.exceptions.Exit(1)
