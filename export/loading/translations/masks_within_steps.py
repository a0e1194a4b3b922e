"""TimeDistributed, in models that mask steps: in Keras 2 the layer within told the mask of its output.

The stock layer stays where it computes the same: it holds a layer that leaves masks as they are, or nothing is masked.
"""

from __future__ import annotations

import re

from keras_norms import _time_distributed_of_keras2  # noqa: F401  (registers the layer)

from ...errors import ExportError
from ..config_tree import EXTENDS, Entry, entries_in, is_model, name_of, stock_class, walk
from ..writer import Writer
from .masks import FIXED_BATCH, IN_MASKED_MODEL, makes_masks
from .norms_of_others import OF_USER

_RECURRENT = r"(LSTM|GRU|SimpleRNN|RNN|ConvLSTM\dD|CuDNN(LSTM|GRU)|Bidirectional)"
_CHANGES_MASKS = re.compile(rf"{_RECURRENT}|GlobalAveragePooling1D|TimeDistributed|Lambda")
_FIRST_THAT_ASKED = (2, 2, 3)  # the first version whose TimeDistributed asked the layer within


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer.

    Raises:
        ExportError: If Keras 2 computed something for which there is no translation.
    """
    if entry["class_name"] != "TimeDistributed" or entry.get(OF_USER):
        return False
    within = [below for inner in entries_in(entry) for below in walk(inner)]
    if any(isinstance(below["config"], dict) and below["config"].get("stateful") for below in within):
        raise ExportError(
            f"layer '{name_of(entry)}' is a TimeDistributed of a layer with states, whose first step Keras 2 computed "
            "twice, so that the states went on from there; there is no translation"
        )
    if not entry.get(IN_MASKED_MODEL):
        return False
    if entry.get(FIXED_BATCH) and any(below.get(OF_USER) and below.get(EXTENDS) in (None, "Layer") for below in within):
        raise ExportError(
            f"layer '{name_of(entry)}' is a TimeDistributed of a class of the user's, in a model of a fixed batch that "
            "masks steps: there Keras 2 gave the last output again for a masked step, and there is no translation"
        )
    if not any(is_model(below) or _changes_masks(below) for below in within):
        return False
    if _numbers(writer) < _FIRST_THAT_ASKED or (writer.standalone and entry.get(FIXED_BATCH)):
        raise ExportError(
            f"layer '{name_of(entry)}' is a TimeDistributed in a model that masks steps: before 2.2.3, and with a "
            "fixed batch up to 2.3, Keras told the layer within nothing of masks, and there is no translation"
        )
    entry.update(class_name="TimeDistributedOfKeras2", registered_name="keras_norms>TimeDistributedOfKeras2")
    return True


def _changes_masks(entry: Entry) -> bool:
    return makes_masks(entry) or _CHANGES_MASKS.fullmatch(stock_class(entry)) is not None


def _numbers(writer: Writer) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", writer.version or "")[:3])
