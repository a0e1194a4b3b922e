"""A run as people read it: a line a check, and under each failure the reason."""

from __future__ import annotations

from collections.abc import Iterator

from .check_results import Check, Run, sentence

_MARKS = {"passed": "ok", "updated": "updated", "allowed": "allowed", "skipped": "skipped", "failed": "FAILED"}
_WIDTH = max(len(mark) for mark in _MARKS.values())


def lines(run: Run) -> Iterator[str]:
    """The lines of the table."""
    width = max((len(check.name) for check in run.checks), default=0)
    for model, checks in run.by_model().items():
        yield model
        for check in checks:
            yield from _check(check, width, run)
        yield ""
    yield total(run)


def total(run: Run) -> str:
    """The last line: how many checks came to what."""
    counts, words = run.counts(), {"passed": "passed", "failed": "failed"}
    told = [f"{counts[status]} {words.get(status, status)}" for status in _MARKS if counts.get(status)]
    models = len(run.models)
    return f"{models} {'model' if models == 1 else 'models'}, {_count(len(run.checks))}: {', '.join(told) or 'none'}."


def _check(check: Check, width: int, run: Run) -> Iterator[str]:
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
        yield f"{indent}[{check.kind}] {run.policy}:{check.line}"
    else:
        yield f"{indent}[{check.kind}]"


def _count(checks: int) -> str:
    return f"{checks} {'check' if checks == 1 else 'checks'}"
