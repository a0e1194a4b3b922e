"""What is left of a batch norm whose statistics are part of its scale and shift: y = gamma * x + beta, per channel."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_norms import _arguments, _axes
from keras_norms._types import Config, Shape, Tensor


@keras.saving.register_keras_serializable(package="keras_norms")
class ChannelAffine(keras.layers.Layer):
    """Scales and shifts each channel; `convert_norms(model, "none")` puts it in the place of a batch norm."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _arguments.axis(axis)
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None

    def build(self, input_shape: Shape) -> None:
        """Make gamma and beta."""
        axis = _axes.channel_axis(self.axis, input_shape, type(self).__name__)
        self.gamma = self.add_weight(name="gamma", shape=(input_shape[axis],), initializer="ones")
        self.beta = self.add_weight(name="beta", shape=(input_shape[axis],), initializer="zeros")

    def call(self, inputs: Tensor) -> Tensor:
        """Scale and shift."""
        shape = _axes.broadcast_shape([self.axis % len(inputs.shape)], inputs.shape)
        return inputs * ops.reshape(self.gamma, shape) + ops.reshape(self.beta, shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the input's."""
        return input_shape

    def get_config(self) -> Config:
        """The arguments."""
        return {**super().get_config(), "axis": self.axis}
