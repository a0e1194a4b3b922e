"""Dtype policies, which Keras 2 writes as an object of its own class."""

from __future__ import annotations

from typing import Any

from ..config_tree import Entry, is_entry
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Write the policy by its name."""
    config = entry["config"]
    dtype: Any = config.get("dtype") if isinstance(config, dict) else None
    if is_entry(dtype) and str(dtype["class_name"]).startswith("Policy"):
        config["dtype"] = dtype["config"]["name"]
        return True
    return False
