"""A run as Markdown, for the page of a run of GitHub Actions."""

from __future__ import annotations

from .check_results import Run, sentence
from .check_table import total

_MARKS = {"passed": "✅", "updated": "✏️", "allowed": "⚠️", "skipped": "⏭️", "failed": "❌"}


def markdown(run: Run) -> str:
    """Its failures first, then every check."""
    lines = [f"## keras-norms check: {'passed' if run.ok else 'failed'}", "", total(run), ""]
    lines += [
        f"- ❌ `{_code(check.model)}`, {_cell(check.name)}: {_cell(sentence(check.text))}" for check in run.failed
    ]
    lines += ["", "| | model | check | |", "|---|---|---|---|"]
    for check in run.checks:
        text = sentence(check.text if check.allowed_because is None else f"allowed: {check.allowed_because}")
        lines.append(f"| {_MARKS[check.status]} | `{_code(check.model)}` | {_cell(check.name)} | {_cell(text)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Text that makes neither markup nor another cell: it may hold names from a file."""
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return text


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|")
