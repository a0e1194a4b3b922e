"""The report files of a run, refused before any work if they could not be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from .check_results import Run
from .junit_report import junit
from .markdown_summary import markdown
from .sarif_report import sarif


@dataclass(frozen=True)
class ReportFiles:
    """Where each report goes, if it was asked for. A summary is appended, as GitHub wants it; the others replace."""

    junit: Path | None
    sarif: Path | None
    summary: Path | None

    def check(self) -> None:
        """Refuse a path that has no place.

        Raises:
            click.ClickException: If the folder is not there, or the path is a folder.
        """
        for path in (self.junit, self.sarif, self.summary):
            if path is not None and (path.is_dir() or not path.parent.is_dir()):
                why = "it is a folder" if path.is_dir() else f"there is no folder '{path.parent}'"
                raise click.UsageError(f"'{path}' cannot be written: {why}. Choose another path.")

    def write(self, run: Run) -> None:
        """Write each that was asked for."""
        writers: tuple[tuple[Path | None, Callable[[Run], str]], ...] = ((self.junit, junit), (self.sarif, sarif))
        for path, writer in writers:
            if path is not None:
                _replace(path, writer(run))
        if self.summary is not None:
            with self.summary.open("a", encoding="utf-8") as file:
                file.write(markdown(run))


def _replace(path: Path, text: str) -> None:
    """Write the whole file in one step: who reads it meanwhile gets the old one."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # /dev/stdout, or a pipe
        target.write_text(text, encoding="utf-8")
        return
    with tempfile.NamedTemporaryFile("w", dir=target.parent, delete=False, encoding="utf-8") as partial:
        partial.write(text)
    Path(partial.name).chmod(0o644)
    Path(partial.name).replace(target)
