"""Put a finished file in its place in one step, or leave everything as it was."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ExportError


def check_writable(path: Path) -> None:
    """Refuse a target that could not be written, before any work is done for it."""
    if path.is_dir():
        raise ExportError(f"Expected the path of a file to write; '{path}' is a directory. Add a file name.")
    if not path.parent.is_dir():
        raise ExportError(f"The directory '{path.parent}' does not exist. Create it first.")
    try:
        handle, probe = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ExportError(f"Cannot write into '{path.parent}': {error.strerror}. Choose another directory.") from error
    os.close(handle)
    Path(probe).unlink()


@contextmanager
def placing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` on success, remove it on any failure."""
    check_writable(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        partial.chmod(0o666 & ~umask)
        partial.replace(path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()
