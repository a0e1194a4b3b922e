"""SIGINT, SIGTERM and SIGHUP end the command within a second, and leave no process, temporary file or partial output.

An exception in the main thread is tried first: it unwinds as any failure does. But native code may not return for long,
libraries catch what they should not or turn it into errors of theirs, and TensorFlow takes seconds to shut down. So a
thread, which the interpreter wakes at the signal, ends the process if it still runs after a second, and clears up
instead of the code that was not left. The exit code is 128 and the signal's number, as shells have it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from types import FrameType
from typing import NoReturn

_SECONDS = 1.0
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is unknown to Windows
_SHOW_CURSOR = b"\x1b[?25h\n"  # a line of progress had hidden it


@dataclass
class Ending:
    """Whether the process is to end, and what it has to clear up then."""

    folder: str
    terminal: int | None
    number: int | None = None

    def leave(self) -> NoReturn:
        """End the process now."""
        with suppress(Exception):  # whatever state the code that was interrupted has left things in
            _clear_up()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.terminal is not None:
            with suppress(OSError):
                os.write(self.terminal, _SHOW_CURSOR)
        os._exit(128 + (self.number or 0))


_ending: Ending | None = None


def end_on_signals() -> None:
    """Handle the signals, and keep the temporary files of this process and of its children in one folder."""
    global _ending
    numbers = {getattr(signal, name) for name in _NAMES if hasattr(signal, name)}
    for number in numbers:
        signal.signal(number, _end)
    folder = tempfile.mkdtemp(prefix="keras-norms-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the first to register is the last to run
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    _ending = Ending(folder, os.dup(2) if os.isatty(2) else None)
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    Thread(target=_watch, args=(_ending, woken, waking, numbers), daemon=True).start()


def leave_if_told() -> None:
    """End the process if a signal told it to, whatever became of the exception that the signal raised."""
    if _ending is not None and _ending.number is not None:
        _ending.leave()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    """Leave by an exception, so that what is being written is removed."""
    if _ending is not None:
        _ending.number = number
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _watch(ending: Ending, woken: socket.socket, _waking: socket.socket, numbers: set[int]) -> None:
    """End the process if it outlives a signal; `_waking` is held here, since it must stay open."""
    number = 0
    while number not in numbers:
        number = woken.recv(1)[0]
    ending.number = number
    time.sleep(_SECONDS)
    ending.leave()


def _clear_up() -> None:
    """End the child processes, then remove what is being written. What was not imported has left nothing."""
    client, guarded, writing = (
        sys.modules.get(f"keras_norms.export.{name}")
        for name in ("worker.client", "worker.guarded", "artifact.atomic_write")
    )
    checking = sys.modules.get("keras_norms_cli.checking.process")
    for module in (client, guarded, checking):
        if module is not None:
            module.kill_children()
    if writing is not None:
        writing.remove_unfinished()
