"""The kernels behind TensorFlow Addons' WeightNormalization.

    kernel[..., f] = g[f] v[..., f] / |v[..., f]|

It stored g, v, the bias of the layer within where it has one, whether g is set yet, and then weights of no use. Its
SpectralNormalization stored what estimates a singular value in training, beside the weights of the layer within.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import ExportError
from .config_tree import Entry, entries_in, name_of, walk
from .hdf5_weights import Stored
from .translations.spectral_norm import SPECTRAL_NORM
from .translations.weight_norm import WEIGHT_NORM

_OF_TRAINING = "/sn_u"
_LEAST = 1e-12  # of the square of the norm, as TensorFlow's l2_normalize has it


def without_weight_norm(tree: Entry, stored: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """The weights of each layer, with the kernel that a weight norm made where there was one.

    Raises:
        ExportError: If a weight norm was never called, so that its g is not set, or if its weights cannot be told from
            those of others.
    """
    direct = {name_of(entry): entry for entry in entries_in(tree) if WEIGHT_NORM in entry}
    found = {
        name: list(_made(direct[name], weights)) if name in direct else weights for name, weights in stored.items()
    }
    for entry in walk(tree):
        if WEIGHT_NORM in entry and entry is not direct.get(name_of(entry)):
            found = _made_within(entry, found)
    if any(SPECTRAL_NORM in entry for entry in walk(tree)):
        found = {
            name: [each for each in weights if not _plain(each).endswith(_OF_TRAINING)]
            for name, weights in found.items()
        }
    return found


def _plain(weight: Stored) -> str:
    return "/" + weight.name.partition(":")[0]


def _made(entry: Entry, weights: list[Stored]) -> Iterator[Stored]:
    name, biased = name_of(entry), entry["config"].get("use_bias", True)
    yield Stored(f"{name}/kernel", _kernel(name, weights[0], weights[1], weights[3 if biased else 2]))
    if biased:
        yield Stored(f"{name}/bias", weights[2].data)


def _made_within(entry: Entry, stored: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """The same for one in a nested model or a wrapper, whose weights stand among those of others, by their names."""
    name = name_of(entry)
    of_it = [(layer, each) for layer, weights in stored.items() for each in weights if f"/{name}/" in _plain(each)]
    roles = {_plain(each).rpartition("/")[2]: each for _, each in of_it}
    owners = {layer for layer, _ in of_it}
    if len(owners) != 1 or len(roles) != len(of_it) or not {"g", "kernel", "initialized"} <= roles.keys():
        raise ExportError(
            f"layer '{name}' is a WeightNormalization within a nested model or wrapper, and names in the file do not "
            "tell its weights from those of others"
        )
    made = Stored(roles["kernel"].name, _kernel(name, roles["g"], roles["kernel"], roles["initialized"]))
    gone = [roles["g"], roles["initialized"]]
    layer = of_it[0][0]
    kept = [
        made if each is roles["kernel"] else each for each in stored[layer] if all(each is not other for other in gone)
    ]
    return {**stored, layer: kept}


def _kernel(name: str, g: Stored, v: Stored, initialized: Stored) -> np.ndarray:
    if not bool(np.asarray(initialized.data)):
        raise ExportError(f"the WeightNormalization '{name}' was saved before its first call, which sets its weights")
    scale, direction = np.asarray(g.data), np.asarray(v.data)
    length = np.sqrt(np.maximum(np.square(direction).sum(axis=tuple(range(direction.ndim - 1))), _LEAST))
    return np.asarray(direction / length * scale)
