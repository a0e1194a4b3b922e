"""Charts by matplotlib, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from .inline_svg import SERIES, drawn_as, inline

_WIDTH, _HEIGHT = 345, 240  # points, of which matplotlib has 72 to an inch
# Dashes too, so that the lines differ in print and to the colour-blind.
_LOOKS = list(zip(SERIES, ("-", "--", ":", "-."), strict=True))


@dataclass(frozen=True)
class Axis:
    """The label of an axis, its range, whether it is logarithmic or counts, and what follows its numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    counts: bool = False
    unit: str = ""


def line_chart(caption: str, x: Axis, y: Axis, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A figure with one line a series and their legend; what lies outside of `y` stops at its edge."""
    with drawn_as(caption):
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), layout="constrained")
        axes = figure.subplots()
        axes.set(xscale="log" if x.log else "linear", xlim=(x.low, x.high), xlabel=x.label)
        axes.set(yscale="log" if y.log else "linear", ylim=(y.low, y.high), frame_on=False)
        _mark(axes.xaxis, x)
        _mark(axes.yaxis, y)
        axes.tick_params(left=False, bottom=False)
        axes.grid(axis="y", clip_on=False)
        for i, (name, points) in enumerate(series.items()):
            color, dashes = _LOOKS[i % len(_LOOKS)]
            across, up = np.transpose(points)
            axes.plot(across, np.clip(up, y.low, y.high), dashes, color=color, label=name, clip_on=False)
        figure.legend(loc="outside lower center", ncols=4)
        ends = ", ".join(f"{name} {points[-1][1]:.4g}{y.unit}" for name, points in series.items())
        return inline(figure, caption, f"{y.label} against {x.label}; last values: {ends}.")


def bar_chart(caption: str, label: str, groups: Mapping[str, Mapping[str, float]]) -> str:
    """A figure of horizontal bars: a group of them a row, in each one a series; what has no value leaves a gap."""
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    height = 60 + len(groups) * (14 + 11 * len(series))
    with drawn_as(caption):
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        axes = figure.subplots()
        axes.set(xlabel=label, frame_on=False)
        for i, name in enumerate(series):
            color, _ = _LOOKS[i % len(_LOOKS)]
            rows = [row + (i - (len(series) - 1) / 2) * 0.8 / len(series) for row in range(len(groups))]
            axes.barh(rows, [values.get(name, 0.0) for values in groups.values()], 0.7 / len(series), color=color)
            axes.plot([], [], color=color, linewidth=5, label=name)
        axes.set_yticks(range(len(groups)), list(groups))
        axes.invert_yaxis()
        axes.tick_params(left=False, bottom=False)
        axes.grid(axis="x")
        figure.legend(loc="outside lower center", ncols=2)
        told = "; ".join(
            f"{group}: " + ", ".join(f"{name} {value:.3g}" for name, value in values.items())
            for group, values in groups.items()
        )
        return inline(figure, caption, f"{label}. {told}.")


def _mark(drawn: MatplotlibAxis, axis: Axis) -> None:
    """Round numbers, written plainly; few enough to be read."""
    log = LogLocator(subs=(1,) if axis.high > 100 * axis.low else (1, 2, 5))
    drawn.set_major_locator(log if axis.log else MaxNLocator(6, steps=[1, 2, 5, 10], integer=axis.counts))
    drawn.set_major_formatter(lambda value, _: f"{value:g}{axis.unit}")
    drawn.set_minor_locator(NullLocator())
