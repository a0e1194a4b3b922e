"""Keep what native libraries write to standard error off the user's terminal."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_blocks = 0  # that are open, in all threads
_saved = -1


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Drop the process's standard error within the block; what matters there is raised as an exception too.

    Python's own `sys.stderr` is no use: LiteRT writes to the file descriptor. Threads share that, so the first of
    them drops it and the last one brings it back.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _blocks, _saved
    with _lock:
        if not _blocks:
            sys.stderr.flush()
            _saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _blocks += 1


def _leave() -> None:
    global _blocks
    with _lock:
        _blocks -= 1
        if not _blocks:
            os.dup2(_saved, 2)
            os.close(_saved)
