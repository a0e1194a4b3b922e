"""What a person sees: tables and a line of progress on a terminal, plain text anywhere else, JSON on request.

Whatever is shown may hold a name from a file, so every way to show something escapes what is not seen (`visible`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from .visible import visible


class Terminal:
    """The two streams of the user, kept apart from whatever libraries print meanwhile."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = Console(file=out, highlight=False, soft_wrap=True, emoji=False)
        self._err = Console(file=err, highlight=False, emoji=False)

    def line(self, text: str = "") -> None:
        """Print one line: a line break in the text is shown as such, not made."""
        self.lines([text])

    def lines(self, lines: Iterable[str]) -> None:
        """Print lines, each as `line` does."""
        for line in lines:
            self._out.print(visible(line), markup=False)
        self._out.file.flush()

    def json(self, data: Any) -> None:
        from keras_norms.export.report.strict_json import strict_json

        self.lines(strict_json(data).split("\n"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print rows under a title; a column whose cells are all numbers is aligned to the right."""
        cells = [[visible(str(cell)) for cell in row] for row in rows]
        numeric = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(columns))]
        if self._out.is_terminal:
            self._out.print(Text(visible(title), style="bold"))
            self._out.print(_rich_table(columns, cells, numeric), soft_wrap=False)
        else:
            self.lines(_plain_table(title, columns, cells, numeric))

    @contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], object]]:
        """Show a step that takes long, on a terminal only; yield a function that replaces the text."""
        if not self._err.is_terminal:
            yield _show_nothing
            return
        with self._err.status(escape(visible(text))) as status:
            yield lambda new: status.update(escape(visible(new)))


def _show_nothing(text: str) -> None:
    """Stand in for the line of progress where there is no terminal."""


def _is_number(cell: str) -> bool:
    return cell in ("", "-") or cell.lstrip("-")[:1].isdigit()


def _rich_table(columns: Sequence[str], cells: list[list[str]], numeric: list[bool]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    return table


def _plain_table(title: str, columns: Sequence[str], cells: list[list[str]], numeric: list[bool]) -> list[str]:
    widths = [max(len(row[i]) for row in [list(columns), *cells]) for i in range(len(columns))]
    lines = [title]
    for row in [list(columns), *cells]:
        padded = [c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True)]
        lines.append("  " + "  ".join(padded).rstrip())
    return lines
