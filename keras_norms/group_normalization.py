"""Group normalization: each sample over groups of channels."""

import keras

from keras_norms import _arguments, _axes
from keras_norms._grouped import GroupedNormalization


@keras.saving.register_keras_serializable(package="keras_norms")
class GroupNormalization(GroupedNormalization):
    """Normalizes each sample over groups of channels."""

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
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
        self.groups = _arguments.groups(groups)

    def build(self, input_shape):
        axis = _axes.channel_axis(self.axis, input_shape, type(self).__name__)
        channels = input_shape[axis]
        if self.groups != -1 and channels % self.groups:
            raise ValueError(
                "The number of channels has to be a multiple of `groups`. "
                f"Received: {channels} channels (axis {self.axis} of input shape {tuple(input_shape)}) and "
                f"groups={self.groups}. Use a divisor of {channels}, or -1 for one channel in each group."
            )
        super().build(input_shape)

    def get_config(self):
        return {**super().get_config(), "groups": self.groups}

    def _channels_per_group(self, channels):
        return 1 if self.groups == -1 else channels // self.groups
