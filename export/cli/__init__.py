"""The keras-norms command.

It is installed under a name of its own, `keras_norms_cli`: to import anything below `keras_norms` is to import Keras
and its backend, which takes seconds and prints to the terminal, and `keras-norms --help` needs neither.
"""

from __future__ import annotations

import sys

from .signals import end_on_signals, leave_if_told


def main() -> None:
    """Run the command; without the packages it is written with, say which extra brings them."""
    end_on_signals()
    try:
        try:
            from .commands import cli
        except ModuleNotFoundError as error:
            if error.name not in ("click", "rich"):
                raise
            sys.exit(
                f"Error: the command needs {error.name}, which is not installed: pip install 'keras-norms[export]'"
            )
        cli(prog_name="keras-norms")  # also as `python -m keras_norms_cli`
    finally:
        leave_if_told()
