"""`keras-norms upgrade`: an old model file as a .keras file of Keras 3."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments
from ..model_file import ModelFile, model_options
from ..session import session
from .common_options import PATH, json_option, traceback_option


@click.command(short_help="Write an old model file as a .keras file of Keras 3.")
@model_options("old")
@click.argument("new", type=PATH, metavar="NEW.keras")
@json_option
@traceback_option
def upgrade(old: ModelFile, new: Path, as_json: bool, show_traceback: bool) -> None:
    """Write OLD, a file of any Keras, as NEW.keras of Keras 3, and say how it was read.

    Where tf_keras is installed, NEW.keras is written only if it computes what tf_keras computes from OLD.
    """
    if new.suffix != ".keras":
        raise click.BadParameter(f"'{new}' must end in .keras.", param_hint="'NEW.keras'")
    arguments.distinct(old.path, [new])
    old.check()
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {old.path}"):
            from keras_norms.export.artifact.atomic_write import atomic_write, check_writable

            check_writable(new)
            model, report = old.load_with_report()
            with atomic_write(new) as partial:
                model.save(partial)
        if as_json:
            terminal.json({"written": str(new), **report.to_dict()})
        else:
            terminal.lines([*str(report).split("\n"), f"Wrote {new}."])
