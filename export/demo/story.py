"""One picture of the whole demo: what each norm trains to, what is left of it in the file, its error and its time."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..report.inline_svg import INK, SERIES, drawn_as, inline
from .results import Record, Run

_WIDTH, _ROW, _MARGIN = 760, 44, 96  # points, of which matplotlib has 72 to an inch
_CAPTION = "From training to the device"
_FORMATS = {"tflite": ("TFLite file", "LiteRT", SERIES[2], "^"), "onnx": ("ONNX file", "ONNX Runtime", SERIES[0], "v")}


def story(record: Record) -> str:
    """A row for each norm, a panel for each step."""
    last = [record.run(norm, record.batch_sizes[-1]) for norm in record.norms]
    with drawn_as(_CAPTION):
        figure = Figure(figsize=(_WIDTH / 72, (_MARGIN + _ROW * len(last)) / 72), layout="constrained")
        panels = figure.subplots(1, 4, sharey=True, width_ratios=(1.5, 0.9, 1, 1.2))
        for panel in panels:
            panel.set(frame_on=False)
            panel.tick_params(left=False, bottom=False)
            panel.grid(axis="x")
        _accuracy(panels[0], record)
        _folding(panels[1], last)
        _errors(panels[2], last)
        _times(panels[3], last)
        panels[0].set_yticks(range(len(last)), record.norms)
        panels[0].set_ylim(len(last) - 0.5, -0.5)
        handles = {
            text: handle for panel in panels for handle, text in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles))
        return inline(figure, _CAPTION, _told(record))


def _accuracy(axes: Axes, record: Record) -> None:
    axes.set_title("1 train: right, %", fontsize=9)
    for row, norm in enumerate(record.norms):
        values = [100 * record.run(norm, size).test_accuracy[-1] for size in record.batch_sizes]
        axes.plot(values, [row] * len(values), color=INK, linewidth=1, alpha=0.4)
    for recipe, color, marker, lift in zip(record.recipes, SERIES, "os", (-0.22, 0.36), strict=False):
        for row, norm in enumerate(record.norms):
            value = 100 * record.run(norm, recipe.batch_size).test_accuracy[-1]
            axes.plot(value, row, marker, color=color, label=recipe.batches if row == 0 else None)
            axes.text(value, row + lift, f"{value:.1f}", ha="center", fontsize=8)
    least = min(100 * run.test_accuracy[-1] for run in record.runs)
    axes.set_xlim(10 * ((least - 5) // 10), 103)


def _folding(axes: Axes, runs: list[Run]) -> None:
    axes.set_title("2 fold: norms left", fontsize=9)
    for row, run in enumerate(runs):
        left = run.norms - len(run.fold.folded)
        axes.barh(row, run.norms, 0.35, color="none", edgecolor=INK, linewidth=0.6, alpha=0.5)
        axes.barh(row, left, 0.35, color=SERIES[3])
        axes.text(max(run.norms, 1) + 0.4, row, f"{left} of {run.norms}", va="center", fontsize=8)
    axes.set_xlim(0, 1.7 * max(run.norms for run in runs) + 1)
    axes.set_xticks([])


def _errors(axes: Axes, runs: list[Run]) -> None:
    axes.set_title("3 verify: error of the file", fontsize=9)
    for kind, (label, _, color, marker) in _FORMATS.items():
        for row, run in enumerate(runs):
            axes.plot(_error(run, kind), row, marker, color=color, label=label if row == 0 else None)
    allowed = max(run.artifacts[kind].report.verification.tolerance for run in runs for kind in _FORMATS)
    axes.axvline(allowed, color=INK, linewidth=1, alpha=0.6)
    axes.annotate("allowed", (allowed, -0.45), (-3, 0), textcoords="offset points", ha="right", va="top", fontsize=8)
    axes.set(xscale="log", xlim=(min(_error(run, kind) for run in runs for kind in _FORMATS) / 5, 3 * allowed))


def _times(axes: Axes, runs: list[Run]) -> None:
    axes.set_title("4 run: microseconds", fontsize=9)
    for row, run in enumerate(runs):
        bars = [(run.keras, "Keras", INK)]
        bars += [(run.artifacts[kind].measured, name, color) for kind, (_, name, color, _) in _FORMATS.items()]
        for i, (measured, name, color) in enumerate(bars):
            at, label = row + 0.24 * (i - 1), name if row == 0 else None
            axes.barh(at, measured.image_us, 0.2, color=color, alpha=0.5 if i == 0 else 1, label=label)
            axes.text(measured.image_us, at, f" {measured.image_us:.0f}", va="center", fontsize=7)
    axes.set_xlim(0, 1.15 * max(run.keras.image_us for run in runs))


def _error(run: Run, kind: str) -> float:
    return max(run.artifacts[kind].report.verification.relative, 1e-9)


def _told(record: Record) -> str:
    """What the picture shows, in words."""
    parts = []
    for norm in record.norms:
        right = ", ".join(f"{100 * record.run(norm, size).test_accuracy[-1]:.1f}%" for size in record.batch_sizes)
        run = record.run(norm, record.batch_sizes[-1])
        times = [run.keras, *(run.artifacts[kind].measured for kind in _FORMATS)]
        parts.append(
            f"{norm}: right {right}; norms left {run.norms - len(run.fold.folded)} of {run.norms}; errors "
            f"{', '.join(f'{_error(run, kind):.1e}' for kind in _FORMATS)}; "
            f"{', '.join(f'{one.image_us:.0f}' for one in times)} microseconds"
        )
    return ". ".join(parts) + "."
