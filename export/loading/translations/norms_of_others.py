"""Norms of TensorFlow Addons and of keras_contrib, each with its own arithmetic.

Addons registered its classes, so the file says whose they are. keras_contrib did not: a GroupNormalization that was
written before Keras 2.11 had one, or an InstanceNormalization, is its own if its config has exactly its arguments.
"""

from __future__ import annotations

import re

from keras_norms import _norms_of_others  # noqa: F401  (registers the layers)

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer

_ADDONS = "Addons>"
_OF_KERAS = [2, 11]  # the first version with a GroupNormalization of its own
_IN_TRAINING = re.compile(r"\w+_(initializer|regularizer|constraint)")
_OF_LAYERS = {"name", "trainable", "dtype", "batch_input_shape", "axis", "epsilon", "center", "scale"}
OF_USER = "of_user"  # in an entry: the user gives the class


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer that computes as the writer's did."""
    kind = str(entry.get("registered_name") or entry["class_name"])
    bare = kind.removeprefix(_ADDONS)
    if entry.get(OF_USER) or bare not in ("GroupNormalization", "InstanceNormalization", "FilterResponseNormalization"):
        return False
    taken = _of_addons(entry, bare) if kind.startswith(_ADDONS) else _of_contrib(entry, bare, writer)
    if taken is None:
        return False
    config = entry["config"]
    for key in [key for key in config if _IN_TRAINING.fullmatch(key)]:
        del config[key]
    entry.update(class_name=taken, registered_name=taken)
    return True


def _of_addons(entry: Entry, kind: str) -> str:
    axis = entry["config"].get("axis", -1)
    if kind == "FilterResponseNormalization":
        return "keras_norms>FilterResponseNormalization"
    if axis < -1:
        raise ExportError(
            f"layer '{name_of(entry)}' is TensorFlow Addons' {kind} with axis={axis}: it takes other axes than that, "
            "for which there is no translation"
        )
    if kind == "InstanceNormalization":
        entry["config"].pop("groups", None)
    return f"keras_norms>{kind}"


def _of_contrib(entry: Entry, kind: str, writer: Writer) -> str | None:
    found = [int(number) for number in re.findall(r"\d+", writer.version or "1")[:2]]
    if kind == "GroupNormalization" and found >= _OF_KERAS:
        return None
    own = _OF_LAYERS | ({"groups"} if kind == "GroupNormalization" else set())
    keys = {key for key in entry["config"] if not _IN_TRAINING.fullmatch(key)}
    if not {"axis", "epsilon", "center", "scale"} <= keys <= own or kind == "FilterResponseNormalization":
        return None
    return f"keras_norms>Contrib{kind}"
