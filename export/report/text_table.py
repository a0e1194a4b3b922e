"""Plain text of reports: what they print where rich is absent or the output is no terminal.

Names in a report come from files, so every line and every cell is escaped (`errors.visible`) where it is put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import visible


class Block(str):
    """Lines that are escaped already."""

    __slots__ = ()


def text(parts: Iterable[str]) -> Block:
    """The parts below each other: each is a line, or a `Block` of lines."""
    return Block("\n".join(part if isinstance(part, Block) else visible(part) for part in parts))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Block:
    """Left-aligned columns, two spaces apart, a rule under the header."""
    cells = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [header, ["-" * width for width in widths], *cells]
    return text("  ".join(c.ljust(width) for c, width in zip(line, widths, strict=True)).rstrip() for line in lines)
