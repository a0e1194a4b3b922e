"""`hard_sigmoid`: clip(x / 5 + 1/2, 0, 1) in Keras 1 and 2, clip(x / 6 + 1/2, 0, 1) in Keras 3.

It was the recurrent activation of LSTM and GRU up to Keras 2.2, and is that of ConvLSTM in all of Keras 2. A stock
Keras 3 layer has no such function, so the registered `keras_norms>hard_sigmoid_keras2` takes its place: it goes
wherever an activation can stand and leaves every weight as the file has it. (Weights times 1.2 would turn Keras 3's
function into the old one, but only where a layer with a kernel comes before it, and with another rounding.)
"""

from __future__ import annotations

import re
from typing import Any

from keras_norms._hard_sigmoid import hard_sigmoid_keras2

from ..config_tree import Entry, stock_class
from ..writer import Writer

_NAME = "keras_norms>hard_sigmoid_keras2"
_FUNCTION = {"module": "builtins", "class_name": "function", "config": _NAME, "registered_name": _NAME}
_KEYS = ("activation", "recurrent_activation")
# Keras 2.3 made "sigmoid" the default of these; ConvLSTM kept the old one.
_GATED = r"(LSTM|GRU)(Cell)?"
_CONVOLVED = r"ConvLSTM\dD(Cell)?"

__all__ = ["apply", "hard_sigmoid_keras2"]


def apply(entry: Entry, writer: Writer) -> bool:
    """Put Keras 2's function where the config names it or leaves it to the default."""
    config: Any = entry["config"]
    if not isinstance(config, dict):
        return False
    if "recurrent_activation" not in config and _old_default(stock_class(entry), writer):
        config["recurrent_activation"] = "hard_sigmoid"
    found = [key for key in _KEYS if _names_it(config.get(key))]
    for key in found:
        config[key] = dict(_FUNCTION)
    return bool(found)


def _names_it(value: Any) -> bool:
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    return bool(value == "hard_sigmoid")


def _old_default(name: str, writer: Writer) -> bool:
    if re.fullmatch(_CONVOLVED, name):
        return True
    numbers = [int(number) for number in re.findall(r"\d+", writer.version or "1")[:2]]
    return re.fullmatch(_GATED, name) is not None and numbers < [2, 3]
