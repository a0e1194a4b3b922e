"""A run as people read it: a line a check, and under each failure the reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .check_results import Check, Run, sentence

_MARKS = {"passed": "ok", "updated": "updated", "allowed": "allowed", "skipped": "skipped", "failed": "FAILED"}
_WIDTH = max(len(mark) for mark in _MARKS.values())


def lines(policy: Path, model: str, checks: Sequence[Check]) -> Iterator[str]:
    """The lines of one model, or of the policy itself under its own path."""
    width = max((len(check.name) for check in checks), default=0)
    yield model
    for check in checks:
        yield from _check(check, width, policy)
    yield ""


def total(run: Run) -> str:
    """The last line: how many checks came to what."""
    counts = run.counts()
    told = [f"{counts[status]} {status}" for status in _MARKS if counts.get(status)]
    models = len(run.models)
    return f"{models} {'model' if models == 1 else 'models'}, {_count(len(run.checks))}: {', '.join(told) or 'none'}."


def _check(check: Check, width: int, policy: Path) -> Iterator[str]:
    mark = f"  {_MARKS[check.status]:<{_WIDTH}}  {check.name:<{width}}"
    if check.status != "failed" and check.status != "allowed":
        yield f"{mark}  {check.text}".rstrip()
        return
    yield mark.rstrip()
    indent = " " * (_WIDTH + 4)
    yield f"{indent}{sentence(check.text)}"
    if check.status == "allowed":
        yield f"{indent}allowed: {check.allowed_because}"
    elif check.line:
        yield f"{indent}[{check.kind}] {policy}:{check.line}"
    else:
        yield f"{indent}[{check.kind}]"


def _count(checks: int) -> str:
    return f"{checks} {'check' if checks == 1 else 'checks'}"
