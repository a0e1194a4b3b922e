"""The record of the table as JSON, and docs/coverage.md, which is made from it alone."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .coverage_row import Row

PACKAGES = ("keras", "tensorflow", "tf2onnx", "onnxruntime", "ai-edge-litert")
COLUMNS = {
    "free batch": "free float32",
    "batch 1": "fixed float32",
    "float16": "fixed float16",
    "dynamic": "fixed dynamic",
    "int8": "fixed int8",
}
FORMATS = {"tflite": "TFLite", "onnx": "ONNX"}

_HEAD = """# What is exported

Written by `python benchmarks/coverage_table.py`; tests hold it to its data and to the public names of Keras.

Each row is code that can be run: `x`, `y` and the like are inputs of the shape that stands behind (without the batch;
with the range of the values where an operation needs one), `layers`, `ops` and `activations` are those of Keras,
`pack` is `keras_norms`. Each model is exported with a batch of free size, with a batch of 1, and with a batch of 1 in
three quantized modes; weights and data are seeded, int8 is calibrated on 32 examples of them. Every file is verified.

- `2e-7`: exported; the largest error in float32, as a share of the output's scale.
- `41 dB`: exported; the least ratio of signal to quantization noise. `exact`: no noise. `float`: exported, and as
  nothing in it could be quantized in this mode, the same as the float file.
- `-`: not run: this mode quantizes weights, and there are none. Empty: not run yet.
- `no 7`: refused, for the reason that has this number [below](#refusals), in the words that the user gets.

Versions: {versions}.

"""


def merged(rows: Iterable[Row], results: dict[tuple[str, str], dict[str, Any]], path: Path) -> None:
    """Write the results into the record at `path`, in the order of the rows.

    What was not run again stays as it is; rows that are no more leave.
    """
    old = {row["key"]: row for row in json.loads(path.read_text())["rows"]} if path.is_file() else {}
    record = []
    for row in rows:
        cells = dict(old.get(row.key, {}).get("cells", {}))
        for cell in (f"{form} {column}" for form in FORMATS for column in COLUMNS.values()):
            if (row.key, cell) in results:
                cells[cell] = _kept(cell, results[row.key, cell])
        if cells:
            cells = {cell: cells[cell] for cell in sorted(cells)}
            record.append({"key": row.key, "kind": row.kind, "code": row.code, "on": row.on, "cells": cells})
    lines = ",\n".join(json.dumps(row) for row in record)
    path.write_text(f'{{"versions": {json.dumps(_versions())},\n"rows": [\n{lines}\n]}}\n')


def _kept(cell: str, result: dict[str, Any]) -> dict[str, Any]:
    """What the page tells of a result: errors in float32, decibels in the quantized modes."""
    names = ["verdict", "words", "relative" if cell.endswith("float32") else "db"]
    names += ["float"] if result.get("float") else []
    return {name: result[name] for name in names if name in result}


def _versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def page(record: dict[str, Any]) -> str:
    """The text of docs/coverage.md."""
    rows, reasons = record["rows"], _Reasons()
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    tables = [_table(kind, [row for row in rows if row["kind"] == kind], reasons) for kind in _kinds(rows)]
    return "\n".join([_HEAD.format(versions=versions) + _shares(rows), *tables, str(reasons)])


def _kinds(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


def _shares(rows: list[dict[str, Any]]) -> str:
    """How many rows are exported, by format and mode, and in float32 by kind."""
    lines = ["## Shares", "", f"Of {len(rows)} rows are exported:", "", "| | " + " | ".join(COLUMNS) + " |"]
    lines.append("|---|" + "---|" * len(COLUMNS))
    for form, title in FORMATS.items():
        cells = [_share(rows, f"{form} {column}") for column in COLUMNS.values()]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    float32 = [(form, column) for form in FORMATS for column in ("free batch", "batch 1")]
    titles = " | ".join(f"{FORMATS[form]}, {column}" for form, column in float32)
    lines += ["", "In float32, by kind:", "", f"| kind | rows | {titles} |", "|---|---|" + "---|" * len(float32)]
    for kind in _kinds(rows):
        some = [row for row in rows if row["kind"] == kind]
        cells = [_share(some, f"{form} {COLUMNS[column]}") for form, column in float32]
        lines.append(f"| {kind} | {len(some)} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def _share(rows: list[dict[str, Any]], cell: str) -> str:
    verdicts = [row["cells"][cell]["verdict"] for row in rows if cell in row["cells"]]
    verdicts = [verdict for verdict in verdicts if verdict != "nothing to quantize"]
    return f"{100 * verdicts.count('exported') / len(verdicts):.1f} %" if verdicts else ""


class _Reasons:
    """The refusals, each once, by number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, words: str) -> int:
        return self.numbers.setdefault(" ".join(words.split()), len(self.numbers) + 1)

    def __str__(self) -> str:
        told = [f"{number}. {_escaped(words)}" for words, number in self.numbers.items()]
        return "\n".join(["## Refusals", "", *told, ""])


def _escaped(words: str) -> str:
    return words.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")


def _table(kind: str, rows: list[dict[str, Any]], reasons: _Reasons) -> str:
    titles = [f"{title} {column}" for title in FORMATS.values() for column in COLUMNS]
    lines = [f"## {kind.capitalize()}", "", "| | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    for row in rows:
        code = row["code"].replace("|", "\\|")
        name = f"`{code}`" + (f" on {row['on']}" if row["on"] else "")
        cells = [f"{form} {column}" for form in FORMATS for column in COLUMNS.values()]
        lines.append(f"| {name} | " + " | ".join(_cell(row["cells"].get(cell), cell, reasons) for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _cell(result: dict[str, Any] | None, cell: str, reasons: _Reasons) -> str:
    if result is None:
        return ""
    if result["verdict"] == "nothing to quantize":
        return "-"
    if result["verdict"] != "exported":
        return f"{'no' if result['verdict'] == 'refused' else 'raw'} {reasons.number(result['words'])}"
    if cell.endswith("float32"):
        return f"{result['relative']:.0e}".replace("e-0", "e-") if result["relative"] else "0"
    if result.get("float"):
        return "float"
    return "exact" if result["db"] is None else f"{result['db']:.0f} dB"
