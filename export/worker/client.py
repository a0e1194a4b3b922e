"""The child process that converts.

It is a process of its own since the converters leak memory, print, and need Keras on TensorFlow.

One child serves many jobs, since importing TensorFlow takes seconds; it is replaced after `_JOBS_PER_CHILD`, which
bounds the leak. Requests and answers are lines of JSON on its standard input and on a private copy of its standard
output, lines of progress among the latter; whatever the libraries print goes to a log, whose end is shown when a job
fails.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from ..errors import ExportError

_JOBS_PER_CHILD = 20
_LOG_TAIL = 2_000
_child: _Child | None = None


def run_job(function: str, *, progress: Callable[[str], object] | None = None, **arguments: Any) -> Any:
    """Call `module:function` of this package in the child with JSON-able arguments; return its JSON-able result.

    Where `progress` is given the function gets an argument of that name too: what it says there is said here.

    Raises:
        ConversionError: If the function raised; it carries what the process printed.
        ExportError: If the process died or could not write its file.
    """
    return start_child(function.partition(":")[0]).run(function, arguments, progress)


def start_child(module: str) -> _Child:
    """The child; a new one imports `module` of this package, and TensorFlow with it, while the caller goes on."""
    global _child
    if _child is None or not _child.usable():
        stop_child()
        _child = _Child(module)
    return _child


def kill_children() -> None:
    """Kill the child process: for one that is ended from outside, and does not come to `stop_child`."""
    if _child is not None:
        _child.kill()


def stop_child() -> None:
    """End the child process, if there is one. Called at exit."""
    global _child
    if _child is not None:
        _child.stop()
        _child = None


atexit.register(stop_child)


# Half of the time of the imports: what they bring is no garbage, which Python looks for again and again, and Keras and
# TensorFlow import these, where they are installed, for wrappers that no job uses. The server shows them again.
_LEAN = "import gc; gc.disable(); sys.modules.update(dict.fromkeys(('sklearn', 'matplotlib', 'jax')))"


class _Child:
    def __init__(self, module: str) -> None:
        self._jobs = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        # For its temporary files, which it cannot remove when it is killed.
        self._folder = tempfile.TemporaryDirectory(prefix="keras-norms-", ignore_cleanup_errors=True)
        # A fixed hash seed: the converters walk sets, and the same model must give the same bytes.
        environment = dict(os.environ, KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", PYTHONHASHSEED="0")
        environment["TMPDIR"] = self._folder.name
        environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        # NumPy's linear algebra in one thread: its threads wait in loops for each other, and a quantized file must not
        # depend on how many there are.
        environment.setdefault("OPENBLAS_NUM_THREADS", "1")
        # The parent's import path, not the working directory: a user's own keras.py or export.py must not be found.
        path = f"import sys; sys.path[:] = {sys.path!r}"
        # The parent gets an interrupt of the terminal too, and ends this process.
        path += "; import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
        code = f"{path}; {_LEAN}; from keras_norms.export.worker.server import main; main({module!r})"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        self._requests: IO[bytes] = self._process.stdin  # type: ignore[assignment]  # both are pipes
        self._answers: IO[bytes] = self._process.stdout  # type: ignore[assignment]

    def usable(self) -> bool:
        return self._jobs < _JOBS_PER_CHILD and self._process.poll() is None

    def run(self, function: str, arguments: dict[str, Any], progress: Callable[[str], object] | None) -> Any:
        self._jobs += 1
        start = self._log.seek(0, os.SEEK_END)
        asked = {"function": function, "arguments": arguments, "progress": progress is not None}
        request = json.dumps(asked, default=os.fspath)
        try:
            self._requests.write(request.encode() + b"\n")
            self._requests.flush()
            answer = self._answer(progress)
        except BrokenPipeError:
            answer = None
        except BaseException:  # an interrupt, or what `progress` raised: the next answer would be to this request
            self.stop()
            raise
        if answer is None:
            code = self._process.wait()
            raise ExportError(
                f"The converter's process ended with code {code} before it answered (-9: out of memory). "
                f"The last it printed: {' / '.join(self._printed_since(start).splitlines())}"
            )
        if answer.get("kind") == "OSError":
            raise ExportError(f"The converter could not write its file: {answer['error']}.")
        if "error" in answer:
            message = answer["error"] or answer["kind"]  # a MemoryError, say, has no message
            raise ConversionError(message, answer["kind"], answer["traceback"], self._printed_since(start))
        return answer["result"]

    def _answer(self, progress: Callable[[str], object] | None) -> dict[str, Any] | None:
        """The next answer, None if the process has died."""
        while line := self._answers.readline():
            answer: dict[str, Any] = json.loads(line)
            if "progress" not in answer:
                return answer
            if progress is not None:
                progress(answer["progress"])
        return None

    def _printed_since(self, start: int) -> str:
        end = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(start, end - _LOG_TAIL))
        return self._log.read().decode(errors="replace").strip()

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        self._log.close()
        self._folder.cleanup()


class ConversionError(ExportError):
    """What a job in the child raised: `.kind` names its class, `.traceback` and `.printed` tell the rest."""

    def __init__(self, message: str, kind: str, traceback: str, printed: str) -> None:
        super().__init__(message)
        self.kind, self.traceback, self.printed = kind, traceback, printed
