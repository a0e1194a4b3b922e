"""The page and its charts: what stands where, what is escaped, that nothing is fetched."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from keras_norms.export.report import chart, html


class Checker(HTMLParser):
    """Collects tags; fails on a closing tag that does not fit."""

    VOID = ("meta", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def check(markup):
    checker = Checker()
    checker.feed(markup)
    assert checker.open == []
    return checker.tags


X = chart.Axis("epoch", 1, 3, counts=True)
Y = chart.Axis("right", 0, 100, unit="%")
LINES = {"<first>": [(1, 0.0), (2, 50.0), (3, 100.0)], "second": [(1, 100.0), (3, 0.0)]}


def test_a_page_is_whole_and_fetches_nothing():
    parts = [chart.line_chart("C & D", X, Y, LINES), html.table("t", ["a", "b"], [["x", 1]])]
    page = html.page("Title <b>", "Lead & more", [html.section("Head", "Text", *parts, html.folded_away("More", "x"))])
    tags = check(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Title &lt;b&gt;</title>" in page
    assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe", "object")]
    assert not re.search(r"https?://|url\((?!#)|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_a_table_heads_its_rows_and_columns():
    markup = html.table("Times", ["model", "us"], [["a <b>", "10"], ["c", "5"]], bars=True)
    tags = check(markup)
    assert [attrs.get("scope") for tag, attrs in tags if tag == "th"] == ["col", "col", "row", "row"]
    assert "a &lt;b&gt;" in markup
    assert re.findall(r"--share: ([\d.]+)%", markup) == ["100.0", "50.0"]


def drawn(y=Y, series=LINES, x=X):
    figure = chart.line_chart("Chart", x, y, series)
    return ElementTree.fromstring(re.search(r"<svg.*</svg>", figure, re.DOTALL)[0])


def corners(svg, color):
    """Of the first line in this colour; the second one is in the legend."""
    path = next(path for path in svg.iter("path") if f"stroke: var(--series-{color})" in path.get("style"))
    numbers = [float(number) for number in re.findall(r"[-\d.]+", path.get("d"))]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def labels(svg):
    """Where each text stands."""
    return {text.text: (float(text.get("x")), float(text.get("y"))) for text in svg.iter("text")}


def test_a_chart_puts_values_where_its_axes_say():
    svg = drawn()
    (left, bottom), (middle, halfway), (right, top) = corners(svg, 1)
    assert left < middle < right
    assert top < bottom, "SVG counts downwards"
    assert middle == pytest.approx((left + right) / 2)
    assert halfway == pytest.approx((top + bottom) / 2)
    assert corners(svg, 2) == [(left, top), (right, bottom)]
    places = labels(svg)
    assert [places[tick][0] for tick in "123"] == pytest.approx([left, middle, right])
    assert places["0%"][1] - places["100%"][1] == pytest.approx(bottom - top)
    assert places["100%"][1] == pytest.approx(top, abs=5), "a number stands at its line"


def test_a_logarithmic_axis_has_equal_decades():
    svg = drawn(chart.Axis("loss", 0.01, 1, log=True), {"a": [(1, 1.0), (2, 0.1), (3, 0.01)]})
    (_, top), (_, middle), (_, bottom) = corners(svg, 1)
    assert top < bottom
    assert middle == pytest.approx((top + bottom) / 2)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (chart.Axis("", 1, 6, counts=True), ["1", "2", "3", "4", "5", "6"]),
        (chart.Axis("", 1, 2, counts=True), ["1", "2"]),
        (chart.Axis("", 80, 100, unit="%"), ["80%", "85%", "90%", "95%", "100%"]),
        (chart.Axis("", 0, 1), ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (chart.Axis("", 0.001, 3, log=True), ["0.001", "0.01", "0.1", "1"]),
        (chart.Axis("", 1.5, 6, log=True), ["2", "5"]),
    ],
)
def test_ticks_are_round_and_inside(axis, ticks):
    svg = drawn(axis, {"line": [(1, axis.low), (3, axis.high)]}, chart.Axis("epoch", 1, 3))
    shown = [text.text for text in svg.iter("text") if "text-anchor: end" in text.get("style")]
    assert shown == ticks


@pytest.mark.parametrize("log", [False, True])
def test_values_outside_an_axis_stop_at_its_edge(log):
    svg = drawn(chart.Axis("", 0.1, 10, log=log), {"a": [(1, 0.0), (3, 100.0)], "b": [(1, 0.1), (3, 10.0)]})
    assert corners(svg, 1) == corners(svg, 2)


def test_lines_differ_in_colour_and_dashes_and_the_legend_shows_them():
    series = {name: [(1, 20.0), (3, 30.0)] for name in ("one", "two", "three", "four")}
    svg = drawn(series=series)
    lines = [path.get("style") for path in svg.iter("path") if "var(--series-" in path.get("style")]
    assert lines[:4] == lines[4:]
    assert len({re.search(r"stroke: [^;]*", line)[0] for line in lines}) == 4
    assert len({"".join(re.findall(r"stroke-dasharray: [^;]*", line)) for line in lines}) == 4
    assert list(series) == list(labels(svg))[-4:]


def test_a_chart_has_the_colours_of_its_page_only():
    assert "currentColor" in chart.line_chart("Chart", X, Y, LINES)
    assert not re.search(r"#[0-9a-f]{3,6}\b", chart.line_chart("Chart", X, Y, LINES))


def test_charts_are_the_same_each_time_and_share_no_id():
    first, other = (chart.line_chart(caption, X, Y, LINES) for caption in ("One", "Other"))
    assert chart.line_chart("One", X, Y, LINES) == first
    found = [set(re.findall(r'\bid="([^"]*)"', figure)) for figure in (first, other)]
    assert not found[0] & found[1]
    for figure, ids in zip((first, other), found, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]*)', figure)) <= ids


def test_settings_of_the_user_change_nothing():
    import matplotlib

    expected = chart.line_chart("Chart", X, Y, LINES)
    with matplotlib.rc_context({"font.size": 20, "axes.grid.axis": "x", "svg.fonttype": "path"}):
        assert chart.line_chart("Chart", X, Y, LINES) == expected


def test_a_chart_tells_its_values_as_text():
    figure = chart.line_chart("Chart", X, Y, LINES)
    assert "<desc>right against epoch; last values: &lt;first&gt; 100%, second 0%.</desc>" in figure
    assert 'role="img" aria-label="Chart. right against epoch; last values: &lt;first&gt; 100%, second 0%."' in figure
