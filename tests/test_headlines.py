"""Tables in the two READMEs are those of the files that benchmarks write."""

import importlib
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = ROOT / "benchmarks"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def test_the_table_of_the_readme_is_what_the_files_say():
    headlines = importlib.import_module("headlines")
    rows = headlines.figures()
    is_written = importlib.import_module("written_tables").is_written
    assert is_written(ROOT / "README.md", headlines.PLACE, headlines.table(rows))
    assert len(rows) == 6


@pytest.mark.parametrize("name", ["quantized_networks", "size_budgets"])
def test_a_table_of_the_benchmarks_is_what_its_file_says(name):
    figures = json.loads((HERE / f"{name}.json").read_text())
    is_written = importlib.import_module("written_tables").is_written
    assert is_written(HERE / "README.md", f"{name}.json", importlib.import_module(name).table(figures))


def test_a_table_goes_into_its_place_and_a_missing_place_is_told(tmp_path):
    tables = importlib.import_module("written_tables")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one.json -->\nold\n<!-- end -->\nb\n<!-- two.json -->\nleft\n<!-- end -->\n")
    tables.write(page, "one.json", "new\n")
    assert page.read_text() == "a\n<!-- one.json -->\nnew\n<!-- end -->\nb\n<!-- two.json -->\nleft\n<!-- end -->\n"
    assert tables.is_written(page, "one.json", "new")
    assert not tables.is_written(page, "one.json", "old")
    with pytest.raises(ValueError, match=r"page.md has 0 places for 'three.json'; one is needed"):
        tables.write(page, "three.json", "new")


def test_the_picture_is_of_these_figures(tmp_path):
    headlines = importlib.import_module("headlines")
    headlines.draw(headlines.figures(), tmp_path / "h.svg")
    drawn, stored = (path.read_text() for path in (tmp_path / "h.svg", ROOT / "benchmarks" / "headlines.svg"))
    assert drawn.split("<metadata>")[0] == stored.split("<metadata>")[0]
    assert drawn.count("<path") == stored.count("<path")
