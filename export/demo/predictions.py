"""A few test images, drawn, and what each exported model says they show."""

from __future__ import annotations

import numpy as np

from ..report.html_text import escape
from .data import Array, Digits
from .results import Record

FIRST, DISPUTED = 5, 5
_LEVELS = 16  # a pixel of the scans is one of 17 levels of grey


def predictions(record: Record, digits: Digits) -> str:
    """A table of markup: a column for each image, a row for each TFLite file; what is wrong is marked."""
    shown = _shown(record)
    images = "".join(f"<th>{drawing(image)}</th>" for image in digits.test_images[shown])
    labels = digits.test_labels[shown]
    rows = [_row("a person", labels, labels)]
    for recipe in record.recipes:
        for norm in record.norms:
            said = np.asarray(record.run(norm, recipe.batch_size).artifacts["tflite"].measured.predicted)
            rows.append(_row(f"{norm}, {recipe.batches.removeprefix('batches of ')}", said[shown], labels))
    caption = (
        f"In LiteRT: the first {FIRST} test images, and the first {len(shown) - FIRST} others that the files do not "
        "all take for the same; \u2717 is wrong"
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr><th>says</th>{images}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody>\n</table></div>"
    )


def _shown(record: Record) -> list[int]:
    """Which test images."""
    said = np.array([run.artifacts["tflite"].measured.predicted for run in record.runs])
    disputed = [int(i) for i in np.flatnonzero((said != said[0]).any(axis=0)) if i >= FIRST]
    return [*range(FIRST), *disputed[:DISPUTED]]


def _row(name: str, said: Array, labels: Array) -> str:
    cells = [
        f"<td>{found}</td>" if found == label else f'<td class="wrong">{found} \u2717</td>'
        for found, label in zip(said, labels, strict=True)
    ]
    return f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>'


def drawing(image: Array) -> str:
    """A square SVG of an image in [0, 1], one path for each level of grey."""
    levels = np.round(np.squeeze(image) * _LEVELS).astype(int)
    paths = []
    for level in np.unique(levels[levels > 0]):
        places = "".join(f"M{x} {y}h1v1h-1z" for y, x in np.argwhere(levels == level))
        paths.append(f'<path d="{places}" fill="currentColor" fill-opacity="{level / _LEVELS:.3g}"/>')
    height, width = levels.shape
    return f'<svg class="digit" viewBox="0 0 {width} {height}" aria-hidden="true">{"".join(paths)}</svg>'
