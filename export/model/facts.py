"""What is known of a model before anything is made of it, found out once and handed on as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import keras

from .keras_graph import layers_below
from .precision import half_policies, half_weights
from .signature import Signature, signature
from .user_inputs import Arrays


@dataclass(frozen=True)
class ModelFacts:
    """A built model and what was read from it.

    `signature` has the batch size that was asked for; `declared` is the same as the model itself declares it.
    `layer_names` holds the name of every layer, nested ones too. `half_policies` names the dtype policies that compute
    in half precision, and `half_weights` is the half precision in which weights are stored, if any are. `calls` are
    the `RepeatedCalls` of the model in float32, if there are some.
    """

    model: keras.Model
    signature: Signature
    declared: Signature
    layer_names: frozenset[str]
    half_policies: tuple[str, ...]
    half_weights: str | None
    calls: Callable[[Arrays], Arrays] | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, model: keras.Model, batch_size: int | None = None) -> ModelFacts:
        """Read a built model; `batch_size` fixes the first dimension of every input.

        Raises:
            ExportError: If `batch_size` is not positive or contradicts the model, or if the input shapes of a
                subclassed model are unknown because it was never called.
        """
        declared = signature(model)
        return cls(
            model=model,
            signature=declared.with_batch(batch_size),
            declared=declared,
            layer_names=frozenset(layer.name for layer in layers_below(model)),
            half_policies=half_policies(model),
            half_weights=half_weights(model),
        )

    def with_batch(self, batch_size: int | None) -> ModelFacts:
        """The same facts with another batch size in `signature`; the model is not read again.

        Raises:
            ExportError: If `batch_size` is not positive or contradicts the model.
        """
        return replace(self, signature=self.declared.with_batch(batch_size))
