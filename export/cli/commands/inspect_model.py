"""`keras-norms inspect`: what `fold` would do, without doing it."""

from __future__ import annotations

from pathlib import Path

import click

from .. import arguments, tables
from ..session import session
from .common_options import PATH, json_option, traceback_option


@click.command(short_help="Show which norms would fold, and why others stay.")
@click.argument("model", type=PATH)
@json_option
@traceback_option
def inspect(model: Path, as_json: bool, show_traceback: bool) -> None:
    """Show the norms of MODEL: which would fold into what, which stay and why."""
    arguments.present(model, "model file")
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {model}"):
            from ..model_summary import summarize

            found = summarize(model)
        if as_json:
            terminal.json(found.to_dict())
        else:
            tables.summary(terminal, found)
