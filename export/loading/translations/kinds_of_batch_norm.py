"""Kinds of batch norm that differ in training only: synchronized, over virtual batches, of the first version."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer

_PLAIN = ("SyncBatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
_IN_TRAINING = ("virtual_batch_size", "adjustment", "fused", "_USE_V2_BEHAVIOR", "mode")


def apply(entry: Entry, writer: Writer) -> bool:
    """Make it the plain BatchNormalization that each of them is in inference."""
    config = entry["config"]
    renamed = entry["class_name"] in _PLAIN
    if renamed:
        if entry["class_name"] == "SyncBatchNormalization":
            config["synchronized"] = True
        entry["class_name"] = "BatchNormalization"
    if entry["class_name"] != "BatchNormalization":
        return False
    axis = config.get("axis")
    if config.get("virtual_batch_size") is not None and axis is not None:
        # Building such a layer adds an axis to its input, and its config says the axis after that.
        axes = axis if isinstance(axis, list) else [axis]
        config["axis"] = [number - 1 if number > 0 else number for number in axes]
    gone = [key for key in _IN_TRAINING if key in config and not (key == "mode" and config[key] != 0)]
    for key in gone:
        del config[key]
    if not config.get("renorm", False):
        for key in ("renorm", "renorm_clipping", "renorm_momentum"):
            config.pop(key, None)
    return renamed or bool(gone)
