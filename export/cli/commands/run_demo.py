"""`keras-norms demo`: the whole way from training to measured files, on data that needs no download."""

from __future__ import annotations

from pathlib import Path

import click

from ..session import session
from .common_options import PATH, traceback_option


@click.command(short_help="Train, export and time a small network; write a report.")
@click.option("--out", type=PATH, metavar="DIR", default=Path("keras-norms-demo"), show_default=True)
@click.option(
    "--quick", is_flag=True, help="Train for seconds only: every file is written, but the figures mean nothing."
)
@traceback_option
def demo(out: Path, quick: bool, show_traceback: bool) -> None:
    """Train on scanned digits without a norm and with three, export, verify, time; write a report.

    Takes up to three minutes. DIR gets the models, demo.json and report.html.
    """
    with session(show_traceback) as terminal:
        from keras_norms.export.demo import run

        run(out, terminal, quick=quick)
