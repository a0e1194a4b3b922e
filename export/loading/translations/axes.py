"""The axis of a batch norm, which Keras 2 writes as a list of one."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer

_ONE_AXIS = ("BatchNormalization", "SyncBatchNormalization", "Concatenate")


def apply(entry: Entry, writer: Writer) -> bool:
    """Write [3] as 3 where Keras 3 takes one axis; layers that take several keep their list."""
    config = entry["config"]
    axis = config.get("axis") if isinstance(config, dict) else None
    if entry["class_name"] in _ONE_AXIS and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
        return True
    return False
