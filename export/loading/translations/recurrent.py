"""Recurrent layers: GRU before `reset_after`, and arguments with the one value that Keras 3 computes with anyway."""

from __future__ import annotations

import re

from ..config_tree import Entry
from ..writer import Writer


def apply(entry: Entry, writer: Writer) -> bool:
    """Say reset_after=False where the file is too old to say it: that is how Keras computed a GRU then."""
    config = entry["config"]
    if re.fullmatch("GRU(Cell)?", entry["class_name"]) and "reset_after" not in config:
        config["reset_after"] = False
        return True
    return False
