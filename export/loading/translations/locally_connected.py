"""LocallyConnected1D and 2D, which Keras 3 has no more: registered layers of this package compute the same."""

from __future__ import annotations

import re

from keras_norms import _locally_connected  # noqa: F401  (registers the layers)

from ..config_tree import Entry
from ..writer import Writer

_IN_TRAINING = re.compile(r"\w+_(initializer|regularizer|constraint)")


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer."""
    if entry["class_name"] not in ("LocallyConnected1D", "LocallyConnected2D"):
        return False
    config = entry["config"]
    config.pop("implementation", None)  # the form of the kernel, which the weights show
    for key in [key for key in config if _IN_TRAINING.fullmatch(key)]:
        del config[key]
    entry["registered_name"] = f"keras_norms>{entry['class_name']}"
    return True
