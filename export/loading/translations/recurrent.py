"""Recurrent layers: GRU before `reset_after`, those that ran in cuDNN only, Bidirectional of one that goes back."""

from __future__ import annotations

import copy
import re

from ..config_tree import Entry, is_entry, name_of, stock_class
from ..writer import Writer


def cudnn(entry: Entry, writer: Writer) -> bool:
    """Make them LSTM and GRU, of which they are one case; the weights are laid out anew in cudnn_weights.py."""
    kind = entry["class_name"]
    if kind not in ("CuDNNLSTM", "CuDNNGRU"):
        return False
    entry["class_name"] = kind.removeprefix("CuDNN")
    entry["config"].update(activation="tanh", recurrent_activation="sigmoid", use_bias=True)
    if kind == "CuDNNGRU":
        entry["config"]["reset_after"] = True
    return True


def apply(entry: Entry, writer: Writer) -> bool:
    """Say reset_after=False where the file is too old to say it: that is how Keras computed a GRU then."""
    config = entry["config"]
    if re.fullmatch("GRU(Cell)?", stock_class(entry)) and "reset_after" not in config:
        config["reset_after"] = False
        return True
    return False


def bidirectional(entry: Entry, writer: Writer) -> bool:
    """Give the second layer of a Bidirectional whose first goes backwards: Keras 3 would let both go backwards."""
    config = entry["config"]
    if entry["class_name"] != "Bidirectional" or is_entry(config.get("backward_layer")):
        return False
    first = config["layer"]
    if not is_entry(first) or not first["config"].get("go_backwards"):
        return False
    second = copy.deepcopy(first)
    second["config"].update(go_backwards=False, name=f"backward_{name_of(first)}")
    config["backward_layer"] = second
    return True
