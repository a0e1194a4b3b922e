"""The plot of a trace: the signal to noise ratio after every layer, in the order in which the model runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layer_trace import LayerTrace

_MISSING = "A plot needs matplotlib, which is not installed: pip install 'keras-norms[demo]'"
_MOST_DB = 160.0  # an exact result is drawn there
_STYLE = {"grid.alpha": 0.3, "svg.hashsalt": "keras-norms", "font.size": 9.0}
_LEAST, _EACH = 1.3, 0.21  # inches: of the frame, and of each row


def save_chart(trace: LayerTrace, path: Path) -> Path:
    """A bar for each layer that was found, and an empty row with the reason for the others."""
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_MISSING, name="matplotlib") from error
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(8, _LEAST + _EACH * len(trace.layers)), layout="constrained")
        axes = figure.subplots()
        for i, layer in enumerate(trace.layers):
            if layer.sqnr_db is None:
                axes.annotate(layer.note, (0, i), (4, 0), textcoords="offset points", va="center", color="0.45", size=7)
                continue
            axes.barh(i, min(layer.sqnr_db, _MOST_DB), color="#b2182b" if i == trace.worst else "#4393c3")
        axes.set_yticks(range(len(trace.layers)), [layer.title for layer in trace.layers])
        axes.set(xlabel="signal to noise ratio, dB", ylim=(len(trace.layers) - 0.4, -0.6))
        axes.set_title(f"{trace.file}, {trace.data}", fontsize=9)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        if trace.worst_drop is not None:
            axes.barh([0], [0], color="#b2182b", label=f"worst drop: {trace.worst_drop.title}")
            figure.legend(loc="outside lower center", frameon=False)
        figure.savefig(path, dpi=150)
    return path
