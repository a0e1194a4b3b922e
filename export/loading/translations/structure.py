"""Models as Keras 1 and 2.0 to 2.2 wrote them: the class `Model`, and a Sequential that is a plain list of layers."""

from __future__ import annotations

from ..config_tree import Entry
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Give a model the class and the dict that Keras 3 expects."""
    config = entry["config"]
    if entry["class_name"] == "Model" and isinstance(config, dict) and "layers" in config:
        entry["class_name"] = "Functional"
        return True
    if entry["class_name"] == "Sequential" and isinstance(config, list):
        entry["config"] = {"name": entry.get("name", "sequential"), "layers": config}
        return True
    return False
