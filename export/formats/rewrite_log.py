"""Why a rewrite that looked at an operation left it alone: collected while somebody listens, and written to a file.

    KERAS_NORMS_PASS_LOG=file         append what each rewrite did, and why it left an operation as it was

A rewrite calls `note_skip` where it turns away from an operation that it had reason to look at. Without a listener that
costs one look at a variable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

LOG = "KERAS_NORMS_PASS_LOG"


@dataclass(frozen=True)
class Skipped:
    """An operation that a rewrite looked at and left alone."""

    op_type: str
    node: str
    reason: str


_listener: ContextVar[list[Skipped] | None] = ContextVar("skips", default=None)


def note_skip(op_type: str, node: str, reason: str) -> None:
    """Note why the operation of this type and name is left as it is."""
    listener = _listener.get()
    if listener is not None:
        listener.append(Skipped(op_type, node, reason))


@contextmanager
def collected_skips() -> Iterator[list[Skipped]]:
    """The list that grows by each `note_skip` within the block."""
    found: list[Skipped] = []
    token = _listener.set(found)
    try:
        yield found
    finally:
        _listener.reset(token)


@contextmanager
def logged(rewrite: str, count: Callable[[], int] | None = None) -> Iterator[None]:
    """Append what the rewrite within the block did and left to the file that the environment names, if it names one.

    `count` tells how many operations there are; without it the log has only what the rewrite left.
    """
    path = os.environ.get(LOG)
    if not path:
        yield
        return
    before = 0 if count is None else count()
    with collected_skips() as skipped:
        yield
    head = "looked" if count is None else f"{before} nodes before, {count()} behind"
    lines = [f"{rewrite}: {head}"]
    lines += [f"    left {each.op_type} '{each.node}': {each.reason}" for each in dict.fromkeys(skipped)]
    with Path(path).open("a") as file:
        file.write("\n".join(lines) + "\n")
