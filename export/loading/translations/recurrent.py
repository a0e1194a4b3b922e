"""Recurrent layers: GRU before `reset_after`, and those that ran in cuDNN only."""

from __future__ import annotations

import re

from ..config_tree import Entry, stock_class
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
