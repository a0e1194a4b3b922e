"""Simple tables of reStructuredText, as docstrings have them, in the form of Markdown.

A line of equals signs stands above the head, below it and below the last row; its gaps part the columns. A row whose
first cell is empty goes on from the row above.
"""

from __future__ import annotations

import re

_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*?)\n\1\2\n(.*?)\n\1\2$", re.MULTILINE | re.DOTALL)


def with_pipes(text: str) -> str:
    """The text with its simple tables written with pipes."""
    return _TABLE.sub(lambda found: _table(*found.groups()), text)


def _table(indent: str, border: str, head: str, body: str) -> str:
    starts = [column.start() for column in re.finditer(r"=+", border)]
    rows: list[list[str]] = []
    for line in (head + "\n" + body).split("\n"):
        cells = _cells(line.removeprefix(indent), starts)
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{above} {cell}".strip() for above, cell in zip(rows[-1], cells, strict=True)]
    written = [f"{indent}| {' | '.join(row)} |" for row in rows]
    written.insert(1, f"{indent}|{'---|' * len(starts)}")
    return "\n".join(["", *written, ""])


def _cells(line: str, starts: list[int]) -> list[str]:
    ends = [*starts[1:], None]
    return [line[start:end].strip().replace("|", "\\|") for start, end in zip(starts, ends, strict=True)]
