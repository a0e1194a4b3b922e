"""SIGINT, SIGTERM and SIGHUP end the command within a second, and leave no process, temporary file or partial output.

An exception in the main thread is tried first: it unwinds as any failure does. But native code may not return for long,
and libraries catch what they should not. So a thread, which the interpreter wakes at the signal, ends the process if it
still runs after a second, and clears up instead of the code that was not left.
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
from threading import Thread
from types import FrameType

_SECONDS = 1.0
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is unknown to Windows
_SHOW_CURSOR = b"\x1b[?25h\n"  # a line of progress had hidden it


def end_on_signals() -> None:
    """Handle the signals, and keep the temporary files of this process and of its children in one folder."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    for number in numbers:
        if number != signal.SIGINT:  # Python itself raises KeyboardInterrupt
            signal.signal(number, _end)
    folder = tempfile.mkdtemp(prefix="keras-norms-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # the first to register is the last to run
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    terminal = os.dup(2) if os.isatty(2) else None
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    Thread(target=_watch, args=(woken, waking, numbers, folder, terminal), daemon=True).start()


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, as an interrupt does, so that temporary files and the converting process are removed."""
    sys.exit(128 + number)


def _watch(woken: socket.socket, _waking: socket.socket, numbers: list[int], folder: str, terminal: int | None) -> None:
    """End the process if it outlives a signal; `_waking` is held here, since it must stay open."""
    number = 0
    while number not in numbers:
        number = woken.recv(1)[0]
    time.sleep(_SECONDS)
    with suppress(Exception):  # whatever state the main thread has left things in
        _clear_up()
    shutil.rmtree(folder, ignore_errors=True)
    if terminal is not None:
        with suppress(OSError):
            os.write(terminal, _SHOW_CURSOR)
    os._exit(128 + number)


def _clear_up() -> None:
    """End the child processes, then remove what is being written. What was not imported has left nothing."""
    client, guarded, writing = (
        sys.modules.get(f"keras_norms.export.{name}")
        for name in ("worker.client", "worker.guarded", "artifact.atomic_write")
    )
    for module in (client, guarded):
        if module is not None:
            module.kill_children()
    if writing is not None:
        writing.remove_unfinished()
