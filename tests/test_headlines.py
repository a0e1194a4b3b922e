"""The figures of the README are those of the files that benchmarks write."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_table_of_the_readme_is_what_the_files_say():
    headlines = runpy.run_path(str(ROOT / "benchmarks" / "headlines.py"))
    rows = headlines["figures"]()
    assert headlines["table"](rows) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(rows) == 6


def test_the_picture_is_of_these_figures(tmp_path):
    headlines = runpy.run_path(str(ROOT / "benchmarks" / "headlines.py"))
    headlines["draw"](headlines["figures"](), tmp_path / "h.svg")
    drawn, stored = (path.read_text() for path in (tmp_path / "h.svg", ROOT / "benchmarks" / "headlines.svg"))
    assert drawn.split("<metadata>")[0] == stored.split("<metadata>")[0]
    assert drawn.count("<path") == stored.count("<path")
