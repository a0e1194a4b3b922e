"""`keras-norms inspect`: what `fold` would do, without doing it, and what data show of the norms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import arguments, tables
from ..model_file import ModelFile, model_options
from ..session import session
from .common_options import PATH, json_option, traceback_option

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms import NormReport


@click.command(short_help="Show which norms would fold, why others stay, and what data show of them.")
@model_options()
@click.option("--data", type=PATH, metavar="FILE.npz", help="Inputs, to show what each norm makes of them.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="Samples in a batch of --data.  [default: 32]"
)
@click.option(
    "--html", "page", type=PATH, metavar="OUT.html", help="Also write what --data shows as a page with plots."
)
@json_option
@traceback_option
def inspect(
    model: ModelFile,
    data: Path | None,
    batch_size: int | None,
    page: Path | None,
    as_json: bool,
    show_traceback: bool,
) -> None:
    """Show the norms of MODEL: which would fold into what, which stay and why.

    With --data also: dead channels, how far the data and single batches are from the moving statistics, how much batch
    renorm clips, the share of epsilon, and what half precision would do.
    """
    model.check()
    arguments.with_data(data, {"--batch-size": batch_size, "--html": page})
    arguments.present(data, "file")
    if page is not None:
        arguments.distinct(model.path, [page])
    with session(show_traceback) as terminal:
        with terminal.status(f"reading {model.path}"):
            from keras_norms.export.artifact.atomic_write import check_writable

            from ..model_summary import summarize

            if page is not None:
                check_writable(page)
            found = summarize(model)
        statistics = None
        if data is not None:
            with terminal.status(f"running {model.path} on {data}"):
                statistics = _statistics(model, data, batch_size, page)
        if as_json:
            told = found.to_dict()
            terminal.json(told if statistics is None else {**told, "statistics": statistics.to_dict()})
            return
        tables.summary(terminal, found)
        if statistics is not None:
            tables.statistics(terminal, statistics)
        if page is not None:
            terminal.line(f"Wrote {page}.")


def _statistics(model: ModelFile, data: Path, batch_size: int | None, page: Path | None) -> NormReport:
    """What the data show, also written as a page."""
    from keras_norms.export.artifact.atomic_write import atomic_write
    from keras_norms.export.model.signature import signature
    from keras_norms.export.model.user_inputs import as_the_model_takes_them

    from keras_norms import norm_statistics

    loaded = model.load()
    report = norm_statistics(loaded, as_the_model_takes_them(data, signature(loaded)), batch_size=batch_size or 32)
    if page is not None:
        from keras_norms.export.report.norm_page import norm_page

        with atomic_write(page) as partial:
            partial.write_text(norm_page(report, loaded.name), encoding="utf-8")
    return report
