"""Instance normalization: each channel of each sample by itself."""

import keras

from keras_norms._grouped import GroupedNormalization


@keras.saving.register_keras_serializable(package="keras_norms")
class InstanceNormalization(GroupedNormalization):
    """Normalizes each channel of each sample over its positions."""

    def __init__(
        self,
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

    def build(self, input_shape):
        if len(input_shape) < 3:
            raise ValueError(
                "InstanceNormalization needs at least one axis besides the batch and the channels. "
                f"Received: input shape {tuple(input_shape)}. Use LayerNormalization for inputs without positions."
            )
        super().build(input_shape)

    def _channels_per_group(self, channels):
        return 1
