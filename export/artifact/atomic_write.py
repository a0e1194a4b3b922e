"""Put a finished file in its place in one step, or leave everything as it was."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ExportError


def check_writable(path: Path) -> None:
    """Refuse a target that could not be written, before any work is done for it."""
    path = _behind_links(path)
    if path.is_dir():
        raise ExportError(f"Expected the path of a file to write; '{path}' is a directory. Add a file name.")
    if not path.parent.is_dir():
        raise ExportError(f"The directory '{path.parent}' does not exist. Create it first.")
    try:
        handle, probe = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExportError(f"Cannot write into '{path.parent}': {error.strerror}. Choose another directory.") from error
    except ValueError as error:  # a zero in the name
        raise ExportError(f"Cannot write {str(path)!r}: {error}. Choose another name.") from error
    os.close(handle)
    Path(probe).unlink()


def _behind_links(path: Path) -> Path:
    try:
        return Path(os.path.realpath(path)) if path.is_symlink() else path
    except OSError as error:
        raise ExportError(f"Cannot write '{path}': {error.strerror}. Choose another name.") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path of the same name to write to, in a folder of its own; on success put it in place of `path`.

    What else was written into that folder goes beside `path`, before it does. On any failure nothing is left. A link
    stays one: what it points to is replaced.
    """
    check_writable(path)
    path = _behind_links(path)
    # Absolute: the converting process may have been started elsewhere.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)).absolute()
    partial = folder / path.name
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        for file in sorted(folder.iterdir(), key=lambda file: file == partial):
            file.chmod(0o666 & ~umask)
            file.replace(path.with_name(file.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
