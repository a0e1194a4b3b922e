"""The process that reads models and makes the checks: one serves many models, and a crash of it costs one model.

The command itself imports no Keras. It speaks with `keras_norms.export.worker.server` in lines of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Callable
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # importing it imports Keras
    from keras_norms.export.check.tasks import ModelTask, Outcome

# What is written is removed at SIGTERM, as in the command itself.
_START = """
import sys
sys.path[:] = {path!r}
from keras_norms_cli.signals import end_on_signals
end_on_signals()
from keras_norms.export.worker.server import main
main("check.check_model")
"""
_MODELS_PER_PROCESS = 20  # the libraries keep memory of each
_SECONDS_TO_CLEAR_UP = 1.5
_alive: weakref.WeakSet[CheckingProcess] = weakref.WeakSet()


class ProcessEndedError(Exception):
    """The process did not finish a model: `kind` is "crashed" or "timed-out"; the text says how, as a sentence."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class JobFailedError(Exception):
    """The job raised what it should have told: a defect. `traceback` is for `--traceback`."""

    def __init__(self, text: str, traceback: str) -> None:
        super().__init__(text)
        self.traceback = traceback


class CheckingProcess:
    """Started at the first model at the latest, and again after a crash.

    What the libraries print goes nowhere, or with `verbose` to where the errors of this process go.
    """

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose
        self._process: subprocess.Popen[bytes] | None = None
        self._models = 0
        self._timed_out = False
        _alive.add(self)

    def check(
        self, task: ModelTask, timeout: float, stage: Callable[[str], object], outcome: Callable[[Outcome], object]
    ) -> None:
        """Make the checks of one model, and hand each outcome on as it comes.

        Raises:
            ProcessEndedError: If the process ended, or was ended after `timeout` seconds.
            JobFailedError: If the job raised.
        """
        process = self.start()
        self._models += 1
        self._timed_out = False
        timer = Timer(timeout, self._expire, (process,))
        timer.daemon = True
        timer.start()
        try:
            answer = self._answer(process, task, stage, outcome)
        except BaseException:  # an interrupt: the next answer would be to this request
            self.stop()
            raise
        finally:
            timer.cancel()
        if answer is None:
            code = process.wait()
            self.stop()
            if self._timed_out:
                raise ProcessEndedError("timed-out", f"the checks were ended after {timeout:g} s, which is `timeout`")
            raise ProcessEndedError("crashed", f"the process that checked this model {_ended_by(code)}")
        if "error" in answer:
            raise JobFailedError(f"{answer['kind']}: {answer['error']}", str(answer["traceback"]))

    def start(self) -> subprocess.Popen[bytes]:
        """The process; a new one imports TensorFlow while the caller goes on."""
        if self._models >= _MODELS_PER_PROCESS:
            self.stop()
        if self._process is None:
            self._models = 0
            environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TMPDIR": tempfile.gettempdir()}
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if self._verbose else subprocess.DEVNULL,
                env=environment,
                start_new_session=True,  # its own children end with it, and the terminal's interrupt is not for it
            )
        return self._process

    def stop(self) -> None:
        """End the process and its children, if there are any."""
        process, self._process = self._process, None
        if process is None:
            return
        _end(process)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self._timed_out = True
        _end(process)

    def _answer(
        self,
        process: subprocess.Popen[bytes],
        task: ModelTask,
        stage: Callable[[str], object],
        outcome: Callable[[Outcome], object],
    ) -> dict[str, Any] | None:
        """The last answer to a task; None if the process has died."""
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"function": "check.check_model:check_model", "arguments": {"task": task}, "progress": True}
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return None
        while line := process.stdout.readline():
            answer: dict[str, Any] = json.loads(line)
            if "progress" not in answer:
                return answer
            told = answer["progress"]
            if isinstance(told, str):
                stage(told)
            else:
                outcome(told)
        return None


def kill_children() -> None:
    """End every process: for a command that is ended from outside, and does not come to `stop`."""
    for each in list(_alive):
        each.stop()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children; it has a moment to remove what it was writing."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_SECONDS_TO_CLEAR_UP)
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _ended_by(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"was ended by signal {-code} ({name}{': most often memory has run out' if name == 'SIGKILL' else ''})"
