"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)

traceback_option = click.option(
    "--traceback",
    "show_traceback",
    is_flag=True,
    help="Show where in the code an error was raised, and what the libraries print.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
tolerance_option = click.option(
    "--tolerance",
    type=click.FloatRange(min=0, min_open=True, max=1, max_open=True),
    metavar="X",
    help="Largest error to accept, relative to the largest value of the output.",
)
inputs_option = click.option(
    "--inputs", type=PATH, metavar="FILE.npz", help="Inputs to compare on, besides the built-in ones."
)
