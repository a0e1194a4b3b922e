"""Instance normalization: each channel of each sample by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from keras_norms._grouped import GroupedNormalization
from keras_norms._keywords import LayerArguments
from keras_norms._types import Constraint, Flag, Initializer, Integer, Number, Regularizer, Shape

if TYPE_CHECKING:
    from typing_extensions import Unpack


@keras.saving.register_keras_serializable(package="keras_norms")
class InstanceNormalization(GroupedNormalization):
    """Normalizes each channel of each sample over its positions.

        y = gamma * (x - mean) / sqrt(var + epsilon) + beta

    mean and var, the biased variance, are taken for each sample and channel over all other axes; gamma and beta have
    one entry for each channel. Training and inference are the same. It is group normalization with one channel in each
    group.

    Example:

    >>> x = np.array([[[1.0, 10.0], [3.0, 30.0]]], dtype="float32")
    >>> print(keras.ops.convert_to_numpy(InstanceNormalization(epsilon=0.0)(x)))
    [[[-1. -1.]
      [ 1.  1.]]]

    Args:
        axis: The channel axis: -1 for channels-last, 1 for channels-first data. Not the batch axis.
        epsilon: Added to the variance, at least 0.
        center: Whether to add `beta`.
        scale: Whether to multiply by `gamma`.
        beta_initializer: Initializer of `beta`.
        gamma_initializer: Initializer of `gamma`.
        beta_regularizer: Regularizer of `beta`.
        gamma_regularizer: Regularizer of `gamma`.
        beta_constraint: Constraint of `beta`.
        gamma_constraint: Constraint of `gamma`.
        **kwargs: Arguments of every Keras layer, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of rank 3 or more.
        mask: Which positions count: a boolean tensor over the axes of `inputs` other than `axis`. Masked positions are
            left out of the statistics whatever they hold. A sample without a position that counts gives `beta`.

    Input shape: (batch, ..., channels), or with the channels at `axis`, and at least one axis besides.

    Output shape: that of the input, in the policy's compute dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, the input has no axis besides the batch and the channels, `axis` is
            the batch axis or no axis of the input, the number of channels is unknown, or the mask does not fit.

    Precision: statistics are taken in float32 or wider. Against float64, outputs of float32 inputs of unit variance are
    exact to 1e-4 at a mean of 1e4 and to 2e-3 at a mean of 1e6: an input further than 16 standard deviations from zero
    is centred first, which costs one more pass over it.

    Export: as group normalization.

    Reference: Ulyanov et al., 2016, https://arxiv.org/abs/1607.08022.
    """

    def __init__(
        self,
        axis: Integer = -1,
        epsilon: Number = 1e-3,
        center: Flag = True,
        scale: Flag = True,
        beta_initializer: Initializer = "zeros",
        gamma_initializer: Initializer = "ones",
        beta_regularizer: Regularizer = None,
        gamma_regularizer: Regularizer = None,
        beta_constraint: Constraint = None,
        gamma_constraint: Constraint = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=beta_initializer,
            gamma_initializer=gamma_initializer,
            beta_regularizer=beta_regularizer,
            gamma_regularizer=gamma_regularizer,
            beta_constraint=beta_constraint,
            gamma_constraint=gamma_constraint,
            axis=axis,
            **kwargs,
        )

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 3:
            raise ValueError(
                "InstanceNormalization needs at least one axis besides the batch and the channels. "
                f"Received: input shape {tuple(input_shape)}. Use LayerNormalization for inputs without positions."
            )
        super().build(input_shape)

    def _channels_per_group(self, _channels: int) -> int:
        return 1
