"""ThresholdedReLU, which Keras 3 has no more, and LeakyReLU's slope, which has another name."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Write them with what Keras 3 has: `ReLU(threshold=theta)`, `LeakyReLU(negative_slope=alpha)`."""
    config = entry["config"]
    if entry["class_name"] == "ThresholdedReLU":
        entry["class_name"] = "ReLU"
        config["threshold"] = config.pop("theta", 1.0)
        return True
    if entry["class_name"] == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
        return True
    return False
