"""TimeDistributed as Keras 2 computed masks through it, for models that were written by it.

    Keras 2   the layer within says which of its outputs are masked; where it says nothing, a step is masked out
              whose input is masked everywhere
    Keras 3   the mask of the input is handed on as it is

So in Keras 2 the words of a sentence may be masked, (batch, sentence, word), and behind a layer that makes one row of
each sentence the sentences are, (batch, sentence). The layer is registered, so that a model with it saves and loads
wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops
from keras.src.backend.common.masking import get_keras_mask, set_keras_mask  # not public


@keras.saving.register_keras_serializable(package="keras_norms")
class TimeDistributedOfKeras2(keras.layers.TimeDistributed):
    """The layer within on the samples of all steps at once."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:  # noqa: ARG002
        """One call of the layer within, which is told by Keras whether it trains, with batch and steps as one axis."""
        rows = _merged(inputs)
        if mask is not None:
            set_keras_mask(rows, _merged(mask))
        made = self.layer(rows)
        outputs = _apart(made, inputs)
        if get_keras_mask(made) is not None:
            set_keras_mask(outputs, _apart(get_keras_mask(made), inputs))
        return outputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """What the layer within masks; else the steps of which something is not masked."""
        made = None
        if self.layer.supports_masking:  # what a model masks is known in its call only, which sets it then
            made = self.layer.compute_mask(_merged(inputs), None if mask is None else _merged(mask))
        if made is not None:
            return _apart(made, inputs)
        if mask is None or len(mask.shape) == 2:
            return mask
        return ops.any(mask, axis=tuple(range(2, len(mask.shape))))


def _merged(x: Any) -> Any:
    """[batch, steps, ...] as [batch * steps, ...]."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))


def _apart(y: Any, inputs: Any) -> Any:
    """[batch * steps, ...] as [batch, steps, ...], with the batch and the steps of `inputs`."""
    batch, steps = ops.shape(inputs)[:2]
    lead = (batch, -1) if inputs.shape[1] is None and inputs.shape[0] is not None else (-1, steps)
    return ops.reshape(y, (*lead, *ops.shape(y)[1:]))
