"""The plot of size against signal to noise ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .size_curve import SizeCurve

_MISSING = "A plot needs matplotlib, which is not installed: pip install 'keras-norms[demo]'"
_MOST_DB = 120.0  # an exact file is drawn there
_STYLE = {"grid.alpha": 0.3, "svg.hashsalt": "keras-norms", "font.size": 9.0}


def save_chart(curve: SizeCurve, path: Path) -> Path:
    """The curve of mixed files, a mark for each fixed mode, and a ring around what was written."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
        from matplotlib.ticker import StrMethodFormatter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_MISSING, name="matplotlib") from error
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        mixed = [(point.size_bytes / 1000, min(point.sqnr_db, _MOST_DB)) for point in curve.mixed]
        axes.plot(*zip(*mixed, strict=True), "o-", color="#4393c3", markersize=4, label="weights of several widths")
        for i, point in enumerate(sorted(curve.modes, key=lambda point: point.sqnr_db)):
            if point.refused is None:
                at = point.size_bytes / 1000, min(point.sqnr_db, _MOST_DB)
                axes.plot(*at, "s", color="0.45", markersize=5)
                side, shift = ("left", 6) if i % 2 == 0 else ("right", -6)
                axes.annotate(point.name, at, (shift, -10), textcoords="offset points", ha=side, color="0.3", size=8)
        chosen = curve.chosen
        at = chosen.size_bytes / 1000, min(chosen.sqnr_db, _MOST_DB)
        axes.plot(*at, "o", markersize=12, fillstyle="none", color="#b2182b", label=f"written: {curve.budget}")
        axes.set(xlabel="kilobytes", ylabel="signal to noise ratio, dB", xscale="log")
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(StrMethodFormatter("{x:g}"))
        axes.set_title(curve.data, fontsize=9)
        axes.grid(which="both")
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(path, dpi=150)
    return path
