"""An architecture, the JSON of a model without weights, and the file of its weights beside it, of the same name.

model.json  and  model.weights.h5, model.h5, model.hdf5 or model_weights.h5
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Any

import h5py

from ..errors import ExportError
from .config_tree import decode, is_entry
from .file_kind import LARGEST_CONFIG, is_hdf5

_ENDS = (".weights.h5", "_weights.h5", ".h5", ".hdf5")


def architecture_and_weights(path: Path) -> tuple[Path, Path] | None:
    """Both files, whichever of them is given; None where the other is not there, or none is needed."""
    if path.suffix == ".json" and path.is_file():
        stem = path.name.removesuffix(".json")
        beside = [path.with_name(stem + end) for end in _ENDS]
        return next(((path, each) for each in beside if each.is_file() and is_hdf5(each)), None)
    end = next((end for end in _ENDS if path.name.endswith(end)), None)
    if end is None or not path.is_file() or not is_hdf5(path):
        return None
    architecture = path.with_name(path.name.removesuffix(end) + ".json")
    return (architecture, path) if architecture.is_file() and _without_model(path) else None


def _without_model(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return "model_config" not in file.attrs
    except OSError:  # damaged: said where it is read
        return False


def read_architecture(path: Path) -> dict[str, Any]:
    """The JSON of a model.

    Raises:
        ExportError: If it describes no model.
    """
    if path.stat().st_size > LARGEST_CONFIG:
        raise ExportError(f"'{path.name}' is larger than any config")
    try:
        config = decode(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"'{path.name}' beside it is no JSON of a model: {error}") from error
    if not is_entry(config):
        raise ExportError(f"'{path.name}' beside it describes no model")
    return dict(config)


def refuse_links(path: Path | IO[bytes]) -> None:
    """Refuse a file of weights that keeps some of them in another file.

    Raises:
        ExportError: If it does; it names the first.
    """
    with h5py.File(path) as file:
        waiting: list[h5py.Group] = [file]
        seen = set()  # a group may hold itself
        while waiting:
            group = waiting.pop()
            place = h5py.h5o.get_info(group.id).addr
            if place in seen:
                continue
            seen.add(place)
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ExportError(f"its '{group.name}/{name}' is a link, which is not followed")
                node = group[name]
                if isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
                    raise ExportError(f"its weight '{node.name}' is kept in another file, which is not read")
                waiting += [node] if isinstance(node, h5py.Group) else []
