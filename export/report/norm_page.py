"""The page of `keras-norms inspect --data`: what data show of every norm, with a plot for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import chart, html

_LEAD = "What data show of the norms of {model}. Norms: {norms}; samples: {samples:,}; batches: {batches:,}."
_READ = (
    "Dead channels have a gamma near zero, or data whose variance is below a hundredth of epsilon. Mean off and "
    "deviation set the data beside the moving statistics: a mean that is off by deviations, or a deviation far from "
    "1, asks for keras_norms.recalibrate. Batch mean off is by how much the mean of one batch is off: it is the noise "
    "that training sees, and grows as batches shrink. Epsilon is its largest share of variance plus epsilon."
)


def norm_page(report: Any, model: str) -> str:
    """The page of a `keras_norms.NormReport` on the model of this name."""
    lead = _LEAD.format(samples=report.samples, batches=report.batches, norms=len(report.norms), model=model)
    table = html.table("All norms", report.HEADER, [norm.row() for norm in report.norms], text=(1,))
    figures = "".join(f"{_figure(norm)}\n" for norm in report.norms)
    half = [[norm.norm, problem] for norm in report.norms for problem in norm.float16]
    parts = [html.section("Norms", _READ, table)]
    parts.append(html.section("Each norm", "", f'<div class="charts">\n{figures}</div>'))
    if half:
        text = "What would happen if the norm, or what it is given, were held in float16."
        parts.append(
            html.section("Half precision", text, html.table("Norms at risk", ("norm", "what"), half, text=(1,)))
        )
    return html.page("keras-norms inspect", lead, parts)


def _figure(norm: Any) -> str:
    if norm.by_channel is None:
        return _variances(norm)
    series = {
        "data: mean off": norm.by_channel.mean_off,
        "batches: mean off": norm.by_channel.batch_mean_off,
        "data: deviation": norm.by_channel.deviation,
    }
    values = [value for line in series.values() for value in line]
    low, high = _range(values)
    channels = chart.Axis("channel", 0, max(norm.channels - 1, 1), counts=True)
    lines = {name: _points(line) for name, line in series.items()}
    return chart.line_chart(f"{norm.norm}: in moving deviations", channels, chart.Axis("deviations", low, high), lines)


def _variances(norm: Any) -> str:
    """Variances of samples and groups, from the least to the largest, beside epsilon."""
    least = 1e-12  # a logarithm has no zero
    values = [max(value, least) for value in norm.variance_quantiles] or [least]
    share = [(100.0 * i / max(len(values) - 1, 1), value) for i, value in enumerate(values)]
    epsilon = max(norm.epsilon, least)
    low, high = min([*values, epsilon]) / 2, max([*values, epsilon]) * 2
    lines = {"variance": share, "epsilon": [(0.0, epsilon), (100.0, epsilon)]}
    axis = chart.Axis("variance", low, high, log=True)
    return chart.line_chart(f"{norm.norm}: variances", chart.Axis("samples and groups", 0, 100, unit="%"), axis, lines)


def _points(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(float(i), value) for i, value in enumerate(values)]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min([*values, 0.0]), max([*values, 1.0])
    margin = 0.05 * (high - low)
    return low - margin, high + margin
