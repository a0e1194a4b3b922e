"""Recurrent layers: GRU before `reset_after`, those that ran in cuDNN only, Bidirectional of one that goes back."""

from __future__ import annotations

import copy
import re
from typing import Any

from keras_norms import _recurrent_of_keras2  # noqa: F401  (registers the layers)

from ..config_tree import Entry, is_entry, name_of, stock_class
from ..writer import Writer
from .masks import IN_MASKED_MODEL
from .norms_of_others import OF_USER


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


def with_states(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer where a layer is given states in a model in which something is masked."""
    kind = entry["class_name"]
    if kind not in ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional") or entry.get(OF_USER):
        return False
    if not entry.get(IN_MASKED_MODEL) or not any(_gives_states(call) for call in entry.get("inbound_nodes", [])):
        return False
    entry.update(class_name=f"{kind}OfKeras2", registered_name=f"keras_norms>{kind}OfKeras2")
    return True


def _gives_states(call: Any) -> bool:
    """Whether a call has tensors beside the sequence: [[layer, call, output, arguments], ...]."""
    tensors = call if isinstance(call, list) and call and isinstance(call[0], list) else [call]
    arguments = tensors[0][3] if isinstance(tensors[0], list) and len(tensors[0]) > 3 else {}
    return len(tensors) > 1 or arguments.get("initial_state") is not None
