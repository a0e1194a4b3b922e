"""Initializers, regularizers and constraints that Keras 3 does not know: they say nothing once weights are loaded."""

from __future__ import annotations

from typing import Any

import keras

from ..config_tree import Entry, is_entry
from ..writer import Writer

_KINDS = ("initializer", "regularizer", "constraint")
_RENAMED = {"normal": "truncated_normal", "TruncatedNormalV2": "TruncatedNormal"}


def apply(entry: Entry, writer: Writer) -> bool:
    """Drop those that are not stock, and from stock initializers what Keras 3 has no argument for."""
    config = entry["config"]
    if not isinstance(config, dict):
        return False
    gone = []
    for key, value in config.items():
        kind = key.rpartition("_")[2]
        if kind in _KINDS and is_entry(value) and not _usable(value, kind):
            gone.append(key)
    for key in gone:
        del config[key]
    return bool(gone)


def _usable(value: dict[str, Any], kind: str) -> bool:
    cls = getattr(getattr(keras, f"{kind}s"), value["class_name"], None)
    if cls is None:
        return False
    config = value["config"] or {}
    config.pop("dtype", None)
    config.pop("partition", None)
    try:
        cls.from_config(dict(config))
    except (TypeError, ValueError, KeyError):
        return False
    return True
