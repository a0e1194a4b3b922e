"""Draws the graph of a model before and after `fold` as SVG, in docs/pictures/: what is drawn is what `fold` did.

A column of boxes, one for each layer, in the order of the graph; layers of the same depth stand side by side. The paper
is white in either colour scheme of the page, for a picture does not learn which one is chosen.
"""

from __future__ import annotations

from collections import defaultdict
from html import escape
from typing import Any, NamedTuple

from docs_site import ROOT

FOLDER = ROOT / "docs" / "pictures"
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN, _TITLE = 150, 42, 16, 26, 18, 26
_PLAIN, _NORM, _CHANGED = ("#f4f5f7", "#6b7280"), ("#fde8e8", "#c0392b"), ("#e3f4e6", "#2e7d32")


class Box(NamedTuple):
    """A layer in the picture: its name, what it is, and the colours of its box."""

    name: str
    kind: str
    depth: int
    colours: tuple[str, str]
    above: tuple[str, ...]


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, text in drawings().items():
        (FOLDER / f"{name}.svg").write_text(text, encoding="utf-8")


def drawings() -> dict[str, str]:
    """Every picture, as text."""
    from docs_site.fold_scenes import SCENES

    return {name: _picture(build()) for name, build in SCENES.items()}


def _picture(model: Any) -> str:
    from keras_norms.export import fold

    folded, report = fold(model)
    records = [*report.folded, *report.tails]
    norms = {record.norm for record in (*records, *report.kept)}
    changed = {name for record in records for name in record.into}
    before = _boxes(model, dict.fromkeys(norms, _NORM))
    after = _boxes(folded, {**dict.fromkeys(norms, _NORM), **dict.fromkeys(changed, _CHANGED)})
    return _drawn([("before", before), ("after", after)])


def _boxes(model: Any, colours: dict[str, tuple[str, str]]) -> list[Box]:
    depths: dict[str, int] = {}
    boxes = []
    for operation in model.operations:
        # Keras has no public way from a layer to those above it.
        inputs = operation._inbound_nodes[0].input_tensors  # noqa: SLF001
        above = tuple(x._keras_history.operation.name for x in inputs)  # noqa: SLF001
        depths[operation.name] = 1 + max((depths[name] for name in above), default=-1)
        kind = type(operation).__name__.replace("InputLayer", "Input")
        boxes.append(Box(operation.name, kind, depths[operation.name], colours.get(operation.name, _PLAIN), above))
    return boxes


def _drawn(columns: list[tuple[str, list[Box]]]) -> str:
    parts, left, height = [], _MARGIN, 0
    for title, boxes in columns:
        rows = defaultdict(list)
        for box in boxes:
            rows[box.depth].append(box)
        wide = max(len(row) for row in rows.values())
        width = wide * _WIDTH + (wide - 1) * _GAP_X
        places = {}
        for depth, row in rows.items():
            start = left + (width - len(row) * _WIDTH - (len(row) - 1) * _GAP_X) // 2
            for i, box in enumerate(row):
                places[box.name] = (start + i * (_WIDTH + _GAP_X), _TITLE + _MARGIN + depth * (_HEIGHT + _GAP_Y))
        parts.append(f'<text x="{left + width // 2}" y="{_MARGIN + 8}" class="title">{title}</text>')
        parts += [_edge(places[name], places[box.name]) for box in boxes for name in box.above]
        parts += [_box(box, *places[box.name]) for box in boxes]
        height = max(height, *(y + _HEIGHT + _MARGIN for _, y in places.values()))
        left += width + 3 * _MARGIN
    width = left - 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
        "<style>text{font:13px sans-serif;text-anchor:middle;fill:#1f2937}.title{font-weight:bold}"
        ".kind{font-size:11px;fill:#4b5563}path{fill:none;stroke:#6b7280;stroke-width:1.3}</style>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8Z" style="fill:#6b7280;stroke:none"/></marker></defs>\n'
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    """From the lower edge of one box to the upper edge of another; round the boxes between where there are some."""
    x0, y0, x1, y1 = start[0] + _WIDTH // 2, start[1] + _HEIGHT, end[0] + _WIDTH // 2, end[1]
    if y1 - y0 > _GAP_Y:
        side = start[0] - 10
        return (
            f'<path d="M{start[0]} {start[1] + _HEIGHT // 2}H{side}V{end[1] + _HEIGHT // 2}H{end[0]}" '
            'marker-end="url(#tip)"/>'
        )
    return f'<path d="M{x0} {y0}C{x0} {y0 + 14} {x1} {y1 - 14} {x1} {y1}" marker-end="url(#tip)"/>'


def _box(box: Box, x: int, y: int) -> str:
    fill, line = box.colours
    middle = x + _WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{line}"/>'
        f'<text x="{middle}" y="{y + 18}">{escape(box.name)}</text>'
        f'<text x="{middle}" y="{y + 34}" class="kind">{escape(box.kind)}</text>'
    )
