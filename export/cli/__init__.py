"""The keras-norms command.

It is installed under a name of its own, `keras_norms_cli`: to import anything below `keras_norms` is to import Keras
and its backend, which takes seconds and prints to the terminal, and `keras-norms --help` needs neither.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command; without the packages it is written with, say which extra brings them."""
    for name in ("SIGTERM", "SIGHUP"):  # the second is unknown to Windows
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _end)
    try:
        from .commands import cli
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f"Error: the command needs {error.name}, which is not installed: pip install 'keras-norms[export]'")
    cli()


def _end(number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, as an interrupt does, so that temporary files and the converting process are removed."""
    sys.exit(128 + number)
