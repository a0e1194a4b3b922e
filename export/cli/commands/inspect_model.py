"""`keras-norms inspect`: what `fold` would do, without doing it."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments, tables
from ..session import session
from ..user_file import custom_objects
from .common_options import PATH, import_option, json_option, traceback_option


@click.command(short_help="Show which norms would fold, and why others stay.")
@click.argument("model", type=PATH)
@import_option
@json_option
@traceback_option
def inspect(model: Path, user_file: Path | None, as_json: bool, show_traceback: bool) -> None:
    """Show the norms of MODEL: which would fold into what, which stay and why."""
    arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {model}"):
            from ..model_summary import summarize

            found = summarize(model, custom_objects(user_file))
        if as_json:
            terminal.json(found.to_dict())
        else:
            tables.summary(terminal, found)
