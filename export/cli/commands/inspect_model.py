"""`keras-norms inspect`: what `fold` would do, without doing it."""

from __future__ import annotations

import click

from .. import tables
from ..model_file import ModelFile, model_options
from ..session import session
from .common_options import json_option, traceback_option


@click.command(short_help="Show which norms would fold, and why others stay.")
@model_options()
@json_option
@traceback_option
def inspect(model: ModelFile, as_json: bool, show_traceback: bool) -> None:
    """Show the norms of MODEL: which would fold into what, which stay and why."""
    model.check()
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {model.path}"):
            from ..model_summary import summarize

            found = summarize(model)
        if as_json:
            terminal.json(found.to_dict())
        else:
            tables.summary(terminal, found)
