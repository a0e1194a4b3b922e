"""Why a rewrite that looked at a node left it alone, collected while somebody listens.

A pass calls `skip(node, reason)` where it turns away from a node that it had reason to look at. Without a listener that
costs one look at a variable.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import onnx_ir as ir


@dataclass(frozen=True)
class Skipped:
    """A node that a pass looked at and left alone."""

    op_type: str
    node: str
    reason: str


_listener: ContextVar[list[Skipped] | None] = ContextVar("skips", default=None)


def skip(node: ir.Node, reason: str) -> None:
    """Note why `node` is left as it is."""
    listener = _listener.get()
    if listener is not None:
        listener.append(Skipped(node.op_type, str(node.name), reason))


@contextmanager
def collected_skips() -> Iterator[list[Skipped]]:
    """The list that grows by each `skip` within the block."""
    found: list[Skipped] = []
    token = _listener.set(found)
    try:
        yield found
    finally:
        _listener.reset(token)
