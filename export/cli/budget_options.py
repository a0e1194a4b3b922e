"""`--max-bytes`, `--min-db` and `--size-plot`: the budget of `--quantize auto`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import arguments
from .terminal import Terminal
from .trace_files import check_plot

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.report.size_curve import SizeCurve

_PLOT = "--size-plot"


@dataclass(frozen=True)
class BudgetOptions:
    """What the options ask for: limits, and a file to draw."""

    max_bytes: int | None
    min_db: float | None
    plot: Path | None

    def check(self, quantize: str | None, model: Path, outs: Sequence[Path]) -> None:
        """Check the options against each other before any work.

        Raises:
            click.UsageError: If there is a limit and no `--quantize auto`, or the other way round.
            click.ClickException: If matplotlib is needed and not installed.
        """
        given = {"--max-bytes": self.max_bytes, "--min-db": self.min_db, _PLOT: self.plot}
        if quantize != "auto":
            for option, value in given.items():
                if value is not None:
                    raise click.UsageError(f"{option} goes with --quantize auto only.")
            return
        if self.max_bytes is None and self.min_db is None:
            raise click.UsageError("--quantize auto needs --max-bytes N or --min-db DB, or both.")
        if self.plot is not None:
            check_plot(_PLOT, self.plot, len(outs))
            arguments.distinct(model, [*outs, self.plot])

    def check_writable(self) -> None:
        """Refuse a path where nothing can be written, before any work.

        Raises:
            ExportError: If there is one.
        """
        from keras_norms.export.artifact.atomic_write import check_writable

        if self.plot is not None:
            check_writable(self.plot)

    def write(self, curve: SizeCurve | None, terminal: Terminal, *, quiet: bool) -> None:
        """Draw the curve, if that was asked for.

        Raises:
            click.ClickException: If the file cannot be written.
        """
        if self.plot is None or curve is None:
            return
        try:
            curve.save_plot(self.plot)
        except OSError as error:
            raise click.ClickException(f"'{self.plot}' cannot be written: {error.strerror or error}.") from error
        if not quiet:
            terminal.line(f"  plot of size against ratio: {self.plot}")
