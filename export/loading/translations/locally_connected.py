"""LocallyConnected1D and 2D, which Keras 3 has no more: registered layers of this package compute the same."""

from __future__ import annotations

import re

from keras_norms import _locally_connected  # noqa: F401  (registers the layers)

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer

# Whether it is as below: the values that need no other form of the kernel.
_PLAIN = {"padding": ("valid",), "data_format": ("channels_last", None), "implementation": (1,)}
_IN_TRAINING = re.compile(r"\w+_(initializer|regularizer|constraint)")


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer."""
    if entry["class_name"] not in ("LocallyConnected1D", "LocallyConnected2D"):
        return False
    config = entry["config"]
    for key, values in _PLAIN.items():
        value = config.pop(key, values[0])
        if value not in values:
            raise ExportError(
                f"layer '{name_of(entry)}' is a {entry['class_name']} with {key}={value!r}, whose kernel has another "
                f"form, for which there is no translation. {key}={values[0]!r} is translated"
            )
    for key in [key for key in config if _IN_TRAINING.fullmatch(key)]:
        del config[key]
    entry["registered_name"] = f"keras_norms>{entry['class_name']}"
    return True
