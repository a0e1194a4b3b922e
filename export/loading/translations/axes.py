"""The axis of a batch norm, which Keras 2 writes as a list of one, and the axes of a layer norm out of their order."""

from __future__ import annotations

from ...errors import ExportError
from ..config_tree import Entry, name_of, stock_class
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


def of_layer_norm(entry: Entry, writer: Writer) -> bool:
    """Put the axes of a layer norm in order, as Keras 3 does.

    Keras 2 made gamma and beta by the axes as they were given, [d2, d1] for [2, 1], and reshaped them, without a
    transpose, to [d1, d2]: the same numbers in the same order in both.

    Raises:
        ExportError: If some are counted from the front and some from the end.
    """
    config = entry["config"]
    axes = config.get("axis") if isinstance(config, dict) else None
    if stock_class(entry) != "LayerNormalization" or not isinstance(axes, list) or axes == sorted(axes):
        return False
    if min(axes) < 0 <= max(axes):
        raise ExportError(
            f"layer '{name_of(entry)}' normalizes over axis={axes}, some counted from the front and some from the "
            "end, so the file does not say which comes first"
        )
    config["axis"] = sorted(axes)
    return True
