"""Put a finished file in its place in one step, or leave everything as it was.

Only a regular file is ever replaced. A link stays one, and what it leads to is replaced: a FIFO, a device, a socket or
a directory there is refused, and so is a link that leads to itself. Where a link leads to nothing, the file is made.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ExportError

_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_KEPT_OF_NAME = 40  # characters of the target's name in that of its folder, which must not become too long for a name
_unfinished: set[Path] = set()


def check_writable(path: Path) -> None:
    """Refuse a target that could not be written, before any work is done for it.

    Raises:
        ExportError: If it is no regular file, or has no place; the message says why and what to do.
    """
    target = _target(path)
    try:
        handle, probe = tempfile.mkstemp(prefix=_prefix(target), dir=target.parent)
    except OSError as error:
        raise ExportError(
            f"Cannot write into '{target.parent}': {error.strerror}. Choose another directory."
        ) from error
    os.close(handle)
    Path(probe).unlink()


def _target(path: Path) -> Path:
    """Where the content of `path` is to lie, behind all links: a regular file, or a name that is free."""
    try:
        str(path).encode()
        target = Path(os.path.realpath(path, strict=False)) if path.is_symlink() else path
        if target.is_symlink():
            raise ExportError(f"Cannot write '{path}': it is a link that leads to itself. Choose another name.")
        if target.is_dir():
            raise ExportError(f"Expected the path of a file to write; '{path}' is a directory. Add a file name.")
        if not target.parent.is_dir():
            raise ExportError(f"The directory '{target.parent}' does not exist. Create it first.")
        _refuse_special(path, target)
    except ExportError:  # a ValueError too
        raise
    except UnicodeEncodeError as error:
        raise ExportError(f"The name of a file to write must be UTF-8; got {path!a}. Choose another name.") from error
    except OSError as error:
        raise ExportError(f"Cannot write '{path}': {error.strerror}. Choose another name.") from error
    except ValueError as error:  # a zero in the name
        raise ExportError(f"Cannot write {str(path)!r}: {error}. Choose another name.") from error
    return target


def _refuse_special(path: Path, target: Path) -> None:
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in _KINDS if is_one(mode)), "a link" if stat.S_ISLNK(mode) else "special")
        raise ExportError(f"Cannot write '{path}': it is {kind}, not a regular file. Choose another name.")


def _prefix(path: Path) -> str:
    return f".{path.name[:_KEPT_OF_NAME]}."


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path of the same name to write to, in a folder of its own; on success put it in place of `path`.

    What else was written into that folder goes beside `path`, before it does. On any failure nothing is left.

    Raises:
        ExportError: If `path` cannot be written, which is looked at before and after the block.
    """
    check_writable(path)
    # Absolute: the converting process may have been started elsewhere.
    target = _target(path).absolute()
    folder = Path(tempfile.mkdtemp(prefix=_prefix(target), dir=target.parent))
    _unfinished.add(folder)
    partial = folder / target.name
    try:
        yield partial
        umask = os.umask(0)
        os.umask(umask)
        files = sorted(folder.iterdir(), key=lambda file: file == partial)
        for file in files:
            _refuse_special(target.with_name(file.name), target.with_name(file.name))
        for file in files:
            file.chmod(0o666 & ~umask)
            _move(file, target.with_name(file.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _unfinished.discard(folder)


def _move(file: Path, to: Path) -> None:
    try:
        file.replace(to)
    except OSError as error:
        raise ExportError(f"Cannot write '{to}': {error.strerror}. Choose another name.") from error


def remove_unfinished() -> None:
    """Remove what is being written: for a process that is ended from outside and does not return to `atomic_write`."""
    for folder in list(_unfinished):
        shutil.rmtree(folder, ignore_errors=True)
