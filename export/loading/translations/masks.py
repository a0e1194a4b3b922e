"""Merges of masked inputs, and layers that dropped the mask in Keras 2, in models that mask steps.

Merges of Keras 2 joined masks by "and", those of Keras 3 join them by "or", and leave what is masked out of products,
maxima and minima. Models without a mask keep the stock layers.
"""

from __future__ import annotations

from keras_norms import _masks_of_keras2  # noqa: F401  (registers the layers)

from ...errors import ExportError
from ..config_tree import Entry, entries_in, is_model, name_of, stock_class, walk
from ..writer import Writer
from .norms_of_others import OF_USER

_MERGES = ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
_OTHERWISE = (*_MERGES, "Rescaling", "Normalization", "Identity")
MAKES_MASKS = "makes_masks"  # in an entry: it is of a class of the user's that computes a mask
_IN_MASKED_MODEL = "in_masked_model"


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer, in a model in which something is masked.

    Raises:
        ExportError: If a TimeDistributed masks otherwise than Keras 3's does.
    """
    if _IN_MASKED_MODEL not in entry:  # the outermost model comes first, and tells all below it
        masked = any(_masks(below) for below in walk(entry))
        for below in walk(entry):
            below[_IN_MASKED_MODEL] = masked
    kind = entry["class_name"]
    if not entry[_IN_MASKED_MODEL] or entry.get(OF_USER) or str(entry.get("module")).startswith("keras.src.ops"):
        return False
    if kind == "TimeDistributed":
        _check_steps(entry)
    if kind not in _OTHERWISE:
        return False
    entry.update(class_name=f"{kind}OfKeras2", registered_name=f"keras_norms>{kind}OfKeras2")
    return True


def _masks(entry: Entry) -> bool:
    kind, config = stock_class(entry), entry["config"]
    return (
        kind == "Masking"
        or bool(entry.get(MAKES_MASKS))
        or (isinstance(config, dict) and bool(config.get("mask_zero")))
    )


def _check_steps(entry: Entry) -> None:
    """Refuse a mask that is made within each step: Keras 3 does not hand it on from a TimeDistributed."""
    for inner in entries_in(entry):
        ended = is_model(inner) and any(_ends_masks(below) for below in walk(inner))
        if any(_masks(below) for below in walk(inner)) and not ended:
            raise ExportError(
                f"layer '{name_of(entry)}' makes a mask within each step of its TimeDistributed, which Keras 2 handed "
                "on to the next layers, and Keras 3 does not"
            )


def _ends_masks(entry: Entry) -> bool:
    """Whether nothing is masked behind such a layer."""
    kind, config = stock_class(entry), entry["config"]
    if kind in ("LSTM", "GRU", "SimpleRNN", "RNN"):
        return not config.get("return_sequences", False)
    return kind == "Flatten" or "Pooling" in kind
