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
trace_option = click.option(
    "--trace", is_flag=True, help="Show every layer's error in the file, in the order in which the model runs."
)
trace_plot_option = click.option(
    "--trace-plot", type=PATH, metavar="FILE.png", help="Draw the errors of --trace (.png, .svg or .pdf)."
)
trace_nodes_option = click.option(
    "--trace-nodes", type=PATH, metavar="FILE.json", help="Write them as node data that Model Explorer opens."
)
inputs_option = click.option(
    "--inputs", type=PATH, metavar="FILE.npz", help="Inputs to compare on, besides the built-in ones."
)
