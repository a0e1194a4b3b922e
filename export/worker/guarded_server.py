"""The loop of the guarded process: a frame in, a frame out. See `guarded.py`. Imports no Keras."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from .frames import BrokenFrameError, receive, send

_EXPORT = __package__.rpartition(".")[0]
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def main(module: str, memory: int) -> None:
    """Limit this process to `memory` bytes, import `module` of this package, and serve its functions."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the libraries print goes nowhere
    _limit(memory)
    requests, jobs, missing = sys.stdin.buffer, None, ""
    gc.disable()  # what is imported stays: the collector need not look through it again and again
    try:
        jobs = importlib.import_module(f"{_EXPORT}.{module}")
    except Exception as error:
        missing = f"{type(error).__name__}: {error}"
    gc.freeze()
    gc.enable()
    with suppress(BrokenFrameError, BrokenPipeError):
        while True:
            request, arrays = receive(requests)
            try:
                if jobs is None:
                    raise ImportError(missing)
                result, found = getattr(jobs, request["job"])(arrays, **request["arguments"])
                send(answers, {"result": result}, found)
            except Exception as error:
                send(answers, {"error": str(error), "kind": type(error).__name__})


def _limit(memory: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has none; a harder limit may hold already
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # if memory runs out all the same, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    if sys.platform == "linux":  # an owner that is killed cannot end this process any more
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
