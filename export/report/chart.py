"""Line charts as inline SVG that takes its colours from the page; each carries its description as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 448, 12, 236
# A dash pattern for each colour, so that the lines differ in print and to the colour-blind too.
_DASHES = ("none", "7 3", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Axis:
    """The label of an axis, its range, whether it is logarithmic or counts, and what follows its numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    counts: bool = False
    unit: str = ""

    def place(self, value: float) -> float:
        """Where `value` lies between 0 and 1; what lies outside stops at the edge."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, max(value, self.low)))
        return min(max((value - low) / (high - low), 0.0), 1.0)

    def ticks(self) -> list[float]:
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            decades = [10.0**power for power in range(first, last + 1)]
            candidates = [m * decade for decade in decades for m in ((1,) if self.high / self.low > 100 else (1, 2, 5))]
        else:
            step = _round_step((self.high - self.low) / 5)
            step = max(step, 1.0) if self.counts else step
            candidates = [
                step * i for i in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
            ]
        return [tick for tick in candidates if self.low * (1 - 1e-9) <= tick <= self.high * (1 + 1e-9)]


def line_chart(caption: str, x: Axis, y: Axis, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """A figure with one line a series, in the order and colours of `legend`."""
    ends = ", ".join(f"{name} {points[-1][1]:.4g}{y.unit}" for name, points in series.items())
    description = f"{y.label} against {x.label}; last values: {ends}."
    lines = [_line(i, [(_across(x, a), _up(y, b)) for a, b in points]) for i, points in enumerate(series.values())]
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption>\n<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(caption)}. {escape(description)}">\n<desc>{escape(description)}</desc>\n'
        + "\n".join([*_grid(x, y), *lines])
        + "\n</svg></figure>"
    )


def legend(names: Sequence[str]) -> str:
    items = (
        f'<li><svg viewBox="0 0 34 10" aria-hidden="true">{_line(i, [(0, 5), (34, 5)])}</svg>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _line(index: int, points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    style = f"stroke: var(--series-{index % 4 + 1}); stroke-dasharray: {_DASHES[index % 4]}"
    return f'<polyline points="{path}" fill="none" stroke-width="2" stroke-linejoin="round" style="{style}"/>'


def _grid(x: Axis, y: Axis) -> list[str]:
    marks = []
    for tick in y.ticks():
        height = _up(y, tick)
        marks.append(
            f'<line x1="{_LEFT}" x2="{_RIGHT}" y1="{height:.1f}" y2="{height:.1f}" style="stroke: var(--rule)"/>'
        )
        marks.append(
            f'<text x="{_LEFT - 7}" y="{height + 4:.1f}" text-anchor="end">{_number(tick)}{escape(y.unit)}</text>'
        )
    for tick in x.ticks():
        marks.append(f'<text x="{_across(x, tick):.1f}" y="{_BOTTOM + 18}" text-anchor="middle">{_number(tick)}</text>')
    middle = (_LEFT + _RIGHT) / 2
    marks.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(x.label)}</text>')
    return marks


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_RIGHT - _LEFT)


def _up(axis: Axis, value: float) -> float:
    return _BOTTOM - axis.place(value) * (_BOTTOM - _TOP)


def _round_step(rough: float) -> float:
    """The nearest of 1, 2, 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
