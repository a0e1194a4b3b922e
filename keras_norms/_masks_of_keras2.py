"""Layers that treat masks as Keras 1 and 2 did, for models that were written by them.

    Keras 2   a merge masks a step out where one of its inputs does        and computes the same at every step
    Keras 3   a merge keeps a step that any of its inputs keeps            and leaves masked values out of some merges

Rescaling, Normalization and Identity dropped the mask in Keras 2 and hand it on in Keras 3. The layers are registered,
so that a model with them saves and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import keras
from keras import ops

_registered = keras.saving.register_keras_serializable(package="keras_norms")


class _Merge:
    """The mask of a merge in Keras 2: what all masks among the inputs keep."""

    def compute_mask(self, inputs: Any, mask: Sequence[Any] | None = None) -> Any:  # noqa: ARG002  (Keras gives them)
        """The steps that every masked input keeps; None where no input has a mask."""
        masks = [each for each in mask or () if each is not None]
        return reduce(ops.logical_and, masks) if masks else None


def _of_plain_values(merge: Callable[[Any, Any], Any]) -> Any:
    def _merge_function(self: Any, inputs: Sequence[Any]) -> Any:  # noqa: ARG001  (a method)
        return reduce(merge, inputs)

    return _merge_function


@_registered
class AddOfKeras2(_Merge, keras.layers.Add):
    """The sum."""


@_registered
class SubtractOfKeras2(_Merge, keras.layers.Subtract):
    """The difference."""


@_registered
class AverageOfKeras2(_Merge, keras.layers.Average):
    """The mean."""


@_registered
class MultiplyOfKeras2(_Merge, keras.layers.Multiply):
    """The product, of masked values too."""

    _merge_function = _of_plain_values(ops.multiply)


@_registered
class MaximumOfKeras2(_Merge, keras.layers.Maximum):
    """The largest value, among masked ones too."""

    _merge_function = _of_plain_values(ops.maximum)


@_registered
class MinimumOfKeras2(_Merge, keras.layers.Minimum):
    """The smallest value, among masked ones too."""

    _merge_function = _of_plain_values(ops.minimum)


@_registered
class ConcatenateOfKeras2(keras.layers.Concatenate):
    """The inputs beside each other; along the steps their masks too."""

    def compute_mask(self, inputs: Sequence[Any], mask: Sequence[Any] | None = None) -> Any:
        """The steps that every masked input keeps, or of which all values are kept; None where no input has a mask."""
        if mask is None or all(each is None for each in mask):
            return None
        joined = [_of_values(x, each) for x, each in zip(inputs, mask, strict=True)]
        return ops.all(ops.concatenate(joined, axis=self.axis), axis=-1)


def _of_values(x: Any, mask: Any) -> Any:
    """Whether each value is kept."""
    ones = ops.ones_like(x, dtype="bool")
    if mask is None:
        return ones
    return ops.logical_and(mask if len(mask.shape) == len(x.shape) else ops.expand_dims(mask, -1), ones)


class _WithoutMask:
    """A layer after which nothing is masked."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:  # noqa: ARG002  (Keras gives them)
        """None."""
        return


@_registered
class RescalingOfKeras2(_WithoutMask, keras.layers.Rescaling):
    """inputs * scale + offset."""


@_registered
class NormalizationOfKeras2(_WithoutMask, keras.layers.Normalization):
    """(inputs - mean) / deviation."""


@_registered
class IdentityOfKeras2(_WithoutMask, keras.layers.Identity):
    """inputs."""

    def call(self, inputs: Any) -> Any:
        """A tensor of its own: the mask hangs on the given one."""
        return ops.copy(inputs)


@_registered
class GlobalAveragePooling1DOfKeras21(keras.layers.GlobalAveragePooling1D):
    """The mean of all steps: tf.keras up to 2.1 took no mask here, and averaged the masked steps too."""

    def call(self, inputs: Any, mask: Any = None) -> Any:  # noqa: ARG002  (Keras gives it)
        """The mean over the steps."""
        return super().call(inputs)
