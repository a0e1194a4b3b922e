"""What a path leads to, told from its bytes: a file of Keras, or something else, which is named."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ..errors import ExportError

FORMATS = "a model saved by Keras as .keras, a legacy .h5, or the folder of a SavedModel"
LARGEST_CONFIG = 2**28  # bytes; configs of the largest models have some 2**24
_HDF5 = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does. (h5py also finds the weights within a zip.)"""
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def check_file(path: Path) -> None:
    """Refuse what is no model file.

    Raises:
        ExportError: If there is no file, or if it is of another kind; the message says of which.
    """
    if path.is_dir():
        raise ExportError(f"Expected {FORMATS}; '{path}' is a directory, and no SavedModel.")
    if not path.is_file():
        raise ExportError(f"There is no model file '{path}'. Give {FORMATS}.")
    if path.name.endswith(".weights.h5"):
        raise ExportError(
            f"'{path}' holds weights without a model. Put the model's JSON beside it (model.to_json()) under the same "
            "name, model.json beside model.weights.h5, or build the model in Python and load the weights into it."
        )
    if is_hdf5(path):
        return
    if zipfile.is_zipfile(path):
        _check_zip(path)
        return
    with path.open("rb") as file:
        head = file.read(64).lstrip()
    if path.suffix in (".json", ".yaml", ".yml"):
        raise ExportError(
            f"'{path}' holds an architecture without weights. Put these beside it under the same name (model.h5 or "
            "model.weights.h5 beside model.json; YAML is not read), or save both together: model.save('model.h5')."
        )
    if path.suffix == ".pb" or head.startswith(b"\x08\x01"):
        raise ExportError(
            f"'{path}' is a graph of TensorFlow without a SavedModel around it, which says what goes in and out. Give "
            "the folder of a SavedModel, with its saved_model.pb."
        )
    kind = "truncated or damaged" if path.suffix in (".keras", ".h5", ".hdf5") else "of another kind"
    raise ExportError(f"'{path}' is {kind}: it is neither a Keras zip nor an HDF5 file. Give {FORMATS}.")


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        large = [info.filename for info in archive.infolist() if _is_bomb(info)]
    if large:
        raise ExportError(f"'{path}' is no Keras model: its {large[0]} unpacks to more than any config has.")
    missing = {"config.json", "metadata.json"} - names
    if missing:
        several = sum(name.endswith("saved_model.pb") for name in names)
        inside = f" It holds {several} SavedModels: unzip it, and give one." if several else ""
        raise ExportError(
            f"'{path}' is a zip file but no Keras model: it has no {sorted(missing)[0]}.{inside} Give {FORMATS}."
        )
    if path.suffix != ".keras":
        raise ExportError(f"'{path}' is a Keras zip file, which Keras reads only as *.keras. Rename it and try again.")


def _is_bomb(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(".json") and info.file_size > LARGEST_CONFIG
