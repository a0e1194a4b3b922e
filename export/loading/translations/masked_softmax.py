"""Softmax and MultiHeadAttention, where something is masked.

If everything that they weigh is masked, all weights are the same in Keras 2. And its MultiHeadAttention left the masks
of its inputs as they were.
"""

from __future__ import annotations

import re
from typing import Any

from keras_norms import _softmax_of_keras2  # noqa: F401  (registers the layers)

from ...errors import ExportError
from ..config_tree import Entry, name_of
from ..writer import Writer
from .masks import IN_MASKED_MODEL
from .norms_of_others import OF_USER

_FIRST_THAT_MASKS = (2, 10)  # the first version whose MultiHeadAttention takes the masks of its inputs


def apply(entry: Entry, writer: Writer) -> bool:
    """Name the registered layer where a mask may come and the stock layer computes something else.

    Raises:
        ExportError: If the layer is of a Keras that took no notice of masks, in a model that makes some.
    """
    kind, config = entry["class_name"], entry["config"]
    if kind not in ("Softmax", "MultiHeadAttention") or entry.get(OF_USER):
        return False
    arguments = _given(entry.get("inbound_nodes"))
    masked = bool(entry.get(IN_MASKED_MODEL))
    if kind == "MultiHeadAttention":
        if masked and _numbers(writer) < _FIRST_THAT_MASKS:
            raise ExportError(
                f"layer '{name_of(entry)}' is a MultiHeadAttention in a model that masks steps: before Keras 2.10 it "
                "took no notice of the masks of its inputs, as it does now, and there is no translation"
            )
        scores = config.get("dropout") or config.get("attention_axes") or "return_attention_scores" in arguments
        if not masked and not (scores and "attention_mask" in arguments):
            return False
    elif not masked and "mask" not in arguments:
        return False
    entry.update(class_name=f"{kind}OfKeras2", registered_name=f"keras_norms>{kind}OfKeras2")
    return True


def _given(node: Any) -> set[str]:
    """The arguments that the calls of a layer give, but those that are None or False."""
    if isinstance(node, dict):
        own = {key for key, value in node.items() if value is not None and value is not False}
        return own.union(*map(_given, node.values()))
    return set().union(*map(_given, node)) if isinstance(node, list) else set()


def _numbers(writer: Writer) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", writer.version or "")[:2])
