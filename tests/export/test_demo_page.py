"""The page and its charts: what stands where, what is escaped, that nothing is fetched."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from keras_norms.export.report import chart, html


class Checker(HTMLParser):
    """Collects tags; fails on a closing tag that does not fit."""

    VOID = ("meta", "br", "line", "polyline")

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
    parts = [chart.legend(list(LINES)), chart.line_chart("C & D", X, Y, LINES), html.table("t", ["a", "b"], [["x", 1]])]
    page = html.page("Title <b>", "Lead & more", [html.section("Head", "Text", *parts, html.folded_away("More", "x"))])
    tags = check(page)
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>Title &lt;b&gt;</title>" in page
    assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe", "object")]
    assert not re.search(r"https?://|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_a_table_heads_its_rows_and_columns():
    markup = html.table("Times", ["model", "us"], [["a <b>", "10"], ["c", "5"]], bars=True)
    tags = check(markup)
    assert [attrs.get("scope") for tag, attrs in tags if tag == "th"] == ["col", "col", "row", "row"]
    assert "a &lt;b&gt;" in markup
    assert re.findall(r"--share: ([\d.]+)%", markup) == ["100.0", "50.0"]


def test_a_chart_puts_values_where_its_axes_say():
    figure = chart.line_chart("Chart", X, Y, LINES)
    svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", figure, re.DOTALL)[0])
    points = [
        [tuple(map(float, point.split(","))) for point in line.get("points").split()] for line in svg.iter("polyline")
    ]
    (left, bottom), (middle, halfway), (right, top) = points[0]
    assert left < middle < right
    assert top < bottom, "SVG counts downwards"
    assert middle == pytest.approx((left + right) / 2)
    assert halfway == pytest.approx((top + bottom) / 2)
    assert points[1] == [(left, top), (right, bottom)]
    assert len({line.get("style") for line in svg.iter("polyline")}) == 2


def test_a_chart_tells_its_values_as_text():
    figure = chart.line_chart("Chart", X, Y, LINES)
    assert "right against epoch; last values: &lt;first&gt; 100%, second 0%." in figure
    assert 'role="img"' in figure


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (chart.Axis("", 1, 6, counts=True), [1, 2, 3, 4, 5, 6]),
        (chart.Axis("", 1, 2, counts=True), [1, 2]),
        (chart.Axis("", 80, 100), [80, 85, 90, 95, 100]),
        (chart.Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (chart.Axis("", 0.001, 3, log=True), [0.001, 0.01, 0.1, 1]),
        (chart.Axis("", 1.5, 6, log=True), [2, 5]),
    ],
)
def test_ticks_are_round_and_inside(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)


def test_values_outside_an_axis_stop_at_its_edge():
    log = chart.Axis("", 0.1, 10, log=True)
    assert [log.place(value) for value in (0, 0.1, 1, 10, 100)] == pytest.approx([0, 0, 0.5, 1, 1])
