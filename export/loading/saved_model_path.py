"""The folder of a SavedModel, given as it is, by a file in it, or in a zip file."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ..errors import ExportError
from .file_kind import is_hdf5

GRAPH = "saved_model.pb"
_LARGEST, _RATIO = 2**34, 200  # bytes, and how many times the zip file's size: beyond that no weights are


@contextmanager
def saved_model_folder(path: Path) -> Iterator[Path | None]:
    """The folder while the block runs; None where the path leads to something else.

    Raises:
        ExportError: If a zip file would write elsewhere, or unpack to more than weights do.
    """
    if path.name in (GRAPH, "keras_metadata.pb") and (path.parent / GRAPH).is_file():
        yield path.parent
    elif path.is_dir():
        yield path if (path / GRAPH).is_file() else None
    elif path.is_file() and not is_hdf5(path) and zipfile.is_zipfile(path) and _inside(path) is not None:
        with tempfile.TemporaryDirectory(prefix="keras-norms-") as folder:
            with zipfile.ZipFile(path) as archive:
                _check_members(path, archive)
                archive.extractall(folder)
            yield Path(folder) / str(_inside(path))
    else:
        yield None


def _inside(path: Path) -> PurePosixPath | None:
    """The folder in a zip file where the one SavedModel stands; None if there is none."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    found = [PurePosixPath(name).parent for name in names if PurePosixPath(name).name == GRAPH]
    return found[0] if len(found) == 1 and "config.json" not in names else None


def _check_members(path: Path, archive: zipfile.ZipFile) -> None:
    size = sum(info.file_size for info in archive.infolist())
    if size > min(_LARGEST, _RATIO * path.stat().st_size):
        raise ExportError(f"'{path}' is no SavedModel: it unpacks to {size:,} bytes, more than weights do.")
    for name in archive.namelist():
        if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute() or "\\" in name:
            raise ExportError(f"'{path}' is no SavedModel: it holds a path out of its folder, '{name}'.")
