"""A drawing of matplotlib as inline SVG, which takes its colours from the page and carries its description as text."""

from __future__ import annotations

import io
import re
from contextlib import AbstractContextManager

from matplotlib import style
from matplotlib.figure import Figure

from .html_text import escape

# Matplotlib knows no CSS, so these stand for the page's colours until the drawing is text. Not black: it is left out.
INK = "#010101"
_SERIES = {f"#0000a{i}": f"var(--series-{i})" for i in range(1, 5)}
SERIES = tuple(_SERIES)
_STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK),
    **{"legend.frameon": False, "legend.fontsize": 8.5, "legend.columnspacing": 1, "legend.handletextpad": 0.5},
    **{"grid.alpha": 0.2, "lines.linewidth": 1.75, "svg.fonttype": "none"},
}


def drawn_as(caption: str) -> AbstractContextManager[None]:
    """Settings for a drawing, from the defaults whatever the user's own say; the caption makes ids unique."""
    settings: AbstractContextManager[None] = style.context(["default", _STYLE, {"svg.hashsalt": caption}])
    return settings


def inline(figure: Figure, caption: str, text: str) -> str:
    """The drawing as a figure of HTML; `text` tells what it shows."""
    file = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    # All groups are numbered alike in every chart, and nothing refers to them.
    drawing = re.sub(r'<g id="[^"]*"', "<g", re.split(r"<svg[^>]*>", file.getvalue())[1])
    for stand_in, color in {INK: "currentColor", **_SERIES}.items():
        drawing = drawing.replace(stand_in, color)
    description = escape(text)
    width, height = 72 * figure.get_size_inches()
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption>\n<svg viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(caption)}. {description}">\n<desc>{description}</desc>{drawing}</figure>'
    )
