"""The table of docs/old-files.md: every translation of an old file, from the table in the code."""

from __future__ import annotations

import re

from docs_site import ROOT

PAGE = ROOT / "docs" / "old-files.md"
_BETWEEN = re.compile(r"(?<=<!-- written by python -m docs_site write -->\n).*?(?=<!-- to here -->)", re.DOTALL)
_KERAS = {(1, 2): "Keras 1, 2", (1,): "Keras 1", (2,): "Keras 2"}


def write() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The page as it is, with the table of today."""
    return _BETWEEN.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"))


def table() -> str:
    from keras_norms.export.loading.translations import TRANSLATIONS

    rows = [
        f"| {row.name} | {_KERAS[row.versions]} | {_cell(row.reason)} | {_cell(row.exactness)} |"
        for row in TRANSLATIONS
    ]
    return "\n".join(["| translation | files of | why | the result is |", "|---|---|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
