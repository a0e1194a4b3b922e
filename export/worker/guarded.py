"""A child process for a file of unknown origin: it may crash, hang or ask for all memory, and ends in one error.

Its life is short, one file a process, and it imports no Keras: starting it takes half a second. The limit of time is
held from here, by a timer that kills it. That of memory is held by the kernel: RLIMIT_DATA counts what the process may
write to. RLIMIT_AS would count address space that runtimes reserve and never touch, and a thread that watches the
resident size may look too late.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Timer
from typing import IO, Any

import numpy as np

from .frames import BrokenFrameError, receive, send
from .limits import GIGABYTES, SECONDS, Limits

_SECONDS_TO_END = 5  # from the end of the answers to that of the process
# Packages without their __init__, which imports Keras; what is below them is imported as ever.
_START = """
import signal, sys, types
signal.signal(signal.SIGINT, signal.SIG_IGN)  # the owner gets it too, and ends this process
sys.path[:] = {path!r}
for name, folders in {packages!r}.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = folders
from keras_norms.export.worker.guarded_server import main
main({module!r}, {memory!r})
"""


_alive: weakref.WeakSet[_Running] = weakref.WeakSet()


class ProcessLostError(Exception):
    """The process did not answer; the text says why, as the end of a sentence about the file: "was still running"."""


class JobError(Exception):
    """What a job in the process raised: `.kind` names its class."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message or kind)
        self.kind = kind


class GuardedProcess:
    """The process, started at the first call at the latest, and again at the next one after it was lost."""

    def __init__(self, module: str, limits: Limits) -> None:
        """`module` of this package has the jobs, and imports no Keras."""
        self._module, self.limits = module, limits
        self._running: _Running | None = None

    def call(self, job: str, arguments: dict[str, Any], arrays: Sequence[tuple[str, np.ndarray]] = ()) -> Any:
        """What the function `job` of the module answers: a value that JSON has, and named arrays.

        Raises:
            JobError: If the job raised.
            ProcessLostError: If the process ended, or took longer than it may; it is gone then.
        """
        running = self.start()
        timer = Timer(self.limits.seconds, _expire, (running.process, running.expired))
        timer.daemon = True
        timer.start()
        try:
            send(running.requests, {"job": job, "arguments": arguments}, arrays)
            answer, found = receive(running.answers)
        except (BrokenFrameError, BrokenPipeError) as error:
            cause = running.cause(error)
            self.stop()
            raise ProcessLostError(cause) from error
        except TypeError:  # nothing was sent
            raise
        except BaseException:  # an interrupt: the next answer would be to this request
            self.stop()
            raise
        finally:
            timer.cancel()
        if "error" in answer:
            raise JobError(str(answer["error"]), str(answer["kind"]))
        return answer["result"], found

    def start(self) -> _Running:
        """The process; a new one imports what it needs while the caller goes on."""
        self._running = self._running or _Running(self._module, self.limits)
        return self._running

    def stop(self) -> None:
        """End the process, if there is one."""
        running, self._running = self._running, None
        if running is not None:
            running.end()


class _Running:
    """One process, ended with this object at the latest."""

    def __init__(self, module: str, limits: Limits) -> None:
        self._limits, self.expired = limits, Event()
        folder = tempfile.TemporaryDirectory(prefix="keras-norms-", ignore_cleanup_errors=True)
        packages = {name: list(sys.modules[name].__path__) for name in ("keras_norms", "keras_norms.export")}
        code = _START.format(path=sys.path, packages=packages, module=module, memory=limits.bytes)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TMPDIR": folder.name}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
        )
        self.requests: IO[bytes] = self.process.stdin  # type: ignore[assignment]  # both are pipes
        self.answers: IO[bytes] = self.process.stdout  # type: ignore[assignment]
        _alive.add(self)
        self.end = weakref.finalize(self, _end, self.process, folder)

    def cause(self, error: Exception) -> str:
        """Why there is no answer, behind the name of what was asked."""
        if self.expired.is_set():
            return f"was still running after {self._limits.seconds:g} s, and was ended ({SECONDS}=N allows more)"
        try:
            code = self.process.wait(timeout=_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            return f"gave an answer that makes no sense ({error})"
        memory = f"it may use {self._limits.bytes / 1e9:.1f} GB, and {GIGABYTES}=N allows more"
        return f"ended its process with {_named(code)}; a damaged file can do that, or one that needs memory: {memory}"


def kill_children() -> None:
    """Kill the processes: for one that is ended from outside, and does not come to `stop`."""
    for running in list(_alive):
        running.process.kill()


def _expire(process: subprocess.Popen[bytes], expired: Event) -> None:
    """The time is over. The timer's thread must not hold the `_Running`, which it may outlive for a moment."""
    expired.set()
    process.kill()


def _named(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"code {code}"


def _end(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            pipe.close()  # type: ignore[union-attr]  # both are pipes
    folder.cleanup()
