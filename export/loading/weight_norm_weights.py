"""The kernels behind TensorFlow Addons' WeightNormalization.

    kernel[..., f] = g[f] v[..., f] / |v[..., f]|

It stored g, v, the bias of the layer within where it has one, whether g is set yet, and then weights of no use.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import ExportError
from .config_tree import Entry, entries_in, name_of, walk
from .hdf5_weights import Stored
from .translations.weight_norm import WEIGHT_NORM

_LEAST = 1e-12  # of the square of the norm, as TensorFlow's l2_normalize has it


def without_weight_norm(tree: Entry, stored: dict[str, list[Stored]]) -> dict[str, list[Stored]]:
    """The weights of each layer, with the kernel that a weight norm made where there was one.

    Raises:
        ExportError: If a weight norm is within a nested model, or was never called, so that its g is not set.
    """
    direct = {name_of(entry): entry for entry in entries_in(tree) if WEIGHT_NORM in entry}
    for entry in walk(tree):
        if WEIGHT_NORM in entry and entry is not direct.get(name_of(entry)):
            raise ExportError(f"layer '{name_of(entry)}' is a WeightNormalization within a nested model or wrapper")
    return {name: list(_made(direct[name], weights)) if name in direct else weights for name, weights in stored.items()}


def _made(entry: Entry, weights: list[Stored]) -> Iterator[Stored]:
    name, biased = name_of(entry), entry["config"].get("use_bias", True)
    g, v = (np.asarray(weight.data) for weight in weights[:2])
    if not bool(np.asarray(weights[3 if biased else 2].data)):
        raise ExportError(f"the WeightNormalization '{name}' was saved before its first call, which sets its weights")
    length = np.sqrt(np.maximum(np.square(v).sum(axis=tuple(range(v.ndim - 1))), _LEAST))
    yield Stored(f"{name}/kernel", v / length * g)
    if biased:
        yield Stored(f"{name}/bias", weights[2].data)
