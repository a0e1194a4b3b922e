"""Norms of TensorFlow Addons and of keras_contrib, each with its own arithmetic.

Addons registered its classes, so the file says whose they are. keras_contrib did not, and ran on standalone Keras,
which had no such norms: in its files a GroupNormalization or an InstanceNormalization with exactly keras_contrib's
arguments is taken to be keras_contrib's.
"""

from __future__ import annotations

import re

from keras_norms import _norms_of_others  # noqa: F401  (registers the layers)

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer

_ADDONS = "Addons>"
_NORMS = ("GroupNormalization", "InstanceNormalization", "FilterResponseNormalization")
_IN_TRAINING = re.compile(r"\w+_(initializer|regularizer|constraint)")
_OF_LAYERS = {"name", "trainable", "dtype", "batch_input_shape", "axis", "epsilon", "center", "scale"}
OF_USER = "of_user"  # in an entry: the user gives the class


def of_addons(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer that computes as TensorFlow Addons' did."""
    kind = str(entry.get("registered_name") or entry["class_name"])
    if not kind.startswith(_ADDONS) or kind.removeprefix(_ADDONS) not in _NORMS or entry.get(OF_USER):
        return False
    return _named(entry, _of_addons(entry, kind.removeprefix(_ADDONS)))


def of_contrib(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer that computes as keras_contrib's did."""
    kind = str(entry.get("registered_name") or entry["class_name"])
    if kind not in ("GroupNormalization", "InstanceNormalization") or entry.get(OF_USER):
        return False
    own = _OF_LAYERS | ({"groups"} if kind == "GroupNormalization" else set())
    keys = {key for key in entry["config"] if not _IN_TRAINING.fullmatch(key)}
    if not {"axis", "epsilon", "center", "scale"} <= keys <= own:
        return False
    if writer.standalone:
        return _named(entry, f"keras_norms>Contrib{kind}")
    if kind == "InstanceNormalization":
        raise ExportError(
            f"layer '{name_of(entry)}' is an {kind}, and the file does not say whose: keras_contrib's divides by "
            "sqrt(variance) + epsilon, the paper's by sqrt(variance + epsilon), and other classes have the same "
            f"arguments. Pass its class, custom_objects={{'{kind}': the class}} (--import FILE.py on the command)"
        )
    return False


def _named(entry: Entry, taken: str) -> bool:
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
