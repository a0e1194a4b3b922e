"""The weights in an HDF5 file of Keras: read without following any link out of the file, and given to a model.

Keras writes, for each layer of the model, its trainable weights and then the others, also those of the layers within
it. Each has a name, which tells the layer within.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import h5py
import keras
import numpy as np

from ..errors import ExportError
from ..model.keras_graph import layers_of, own_weights


@dataclass(frozen=True)
class Stored:
    """A weight in a file: its name there, and its data, which are read where they are used."""

    name: str
    data: h5py.Dataset | np.ndarray


def member(group: h5py.Group, path: str) -> Any:
    """What stands at a path below a group; nothing that is kept in another file.

    Raises:
        ExportError: If nothing stands there, or if it is a link to elsewhere.
    """
    node: Any = group
    for part in path.split("/"):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) and part in node else None
        if not isinstance(link, h5py.HardLink):
            raise ExportError(f"it has no '{path}' of its own in '{group.name}'")
        node = node[part]
    if isinstance(node, h5py.Dataset) and (node.external or node.is_virtual):
        raise ExportError(f"its weight '{node.name}' is kept in another file, which is not read")
    return node


def names_in(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names in an attribute; HDF5's limit makes Keras split long ones into several."""
    pieces = [attribute] if attribute in group.attrs else []
    while not pieces or (pieces[0] != attribute and f"{attribute}{len(pieces)}" in group.attrs):
        pieces.append(f"{attribute}{len(pieces)}")
        if pieces[-1] not in group.attrs:
            return []
    found = [name for piece in pieces for name in group.attrs[piece]]
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def stored_layers(group: h5py.Group) -> dict[str, list[Stored]]:
    """The weights of each layer of the model that has any, in the order of the file."""
    found = {}
    for layer in names_in(group, "layer_names"):
        weights = member(group, layer)
        named = [Stored(name, member(weights, name)) for name in names_in(weights, "weight_names")]
        if named:
            found[layer] = named
    return found


def weights_of_model(group: h5py.Group) -> list[Stored]:
    """The weights that a model holds itself, beside those of its layers."""
    if "top_level_model_weights" not in group:
        return []
    top = member(group, "top_level_model_weights")
    return [Stored(name, member(top, name)) for name in names_in(top, "weight_names")]


def match_weights(layer: Any, stored: list[Stored]) -> list[Any]:
    """The variables of a layer in the order of the stored weights.

    By the names of the layers within it where these tell all of them apart, or else in Keras' own order.

    Raises:
        ExportError: If there are more or fewer variables than weights.
    """
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    if len(variables) != len(stored):
        raise ExportError(
            f"layer '{layer.name}' has {len(variables)} weights in Keras {keras.__version__}, and {len(stored)} in the "
            "file"
        )
    owners = {id(v): (below.name, v.name) for below in layers_of(layer) for v in own_weights(below)}
    named: dict[str, list[Any]] = {}
    for variable in variables:
        owner, name = owners.get(id(variable), ("", variable.name))
        named.setdefault(f"{owner}_{name}", []).append(variable)
    found = [named.get(_ending(weight.name, named), []) for weight in stored]
    if all(len(each) == 1 for each in found) and len({id(each[0]) for each in found}) == len(stored):
        return [each[0] for each in found]
    return variables


def _ending(name: str, endings: Iterable[str]) -> str:
    """The longest of some `layer_weight` with which the name of a stored weight ends."""
    whole = "_" + name.partition(":")[0].replace("/", "_")
    return max((ending for ending in endings if whole.endswith("_" + ending)), key=len, default="")


def assign(variable: Any, value: np.ndarray, where: str) -> None:
    """Give a variable its value.

    Raises:
        ExportError: If the shapes differ.
    """
    if tuple(variable.shape) != value.shape:
        raise ExportError(
            f"{where} has the shape {tuple(variable.shape)} in Keras {keras.__version__}, and {value.shape} in the file"
        )
    variable.assign(value)
