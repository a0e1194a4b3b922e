"""BilinearUpsampling of the DeepLabV3+ of Keras 2, for models that were written with it.

    y = A x B^T for each channel,  A[i, k] = max(0, 1 - |i (rows - 1) / (new_rows - 1) - k|),  B alike over columns

The corners of the new image are those of the old one, so new points lie (rows - 1) / (new_rows - 1) apart. The layer is
registered, so that a model with it saves and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_norms")
class BilinearUpsampling(keras.layers.Layer):
    """Resize images (batch, rows, columns, channels) of a fixed size by factors, or to a size, keeping the corners."""

    def __init__(self, upsampling: Any = (2, 2), output_size: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.upsampling, self.output_size = upsampling, output_size
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        """Interpolate between the rows, and between the columns."""
        _, rows, columns, _ = inputs.shape
        new_rows, new_columns = self.compute_output_shape(inputs.shape)[1:3]
        a, b = _weights(rows, new_rows), _weights(columns, new_columns)
        mixed = ops.einsum("nijc,ki->nkjc", inputs, ops.cast(a, inputs.dtype))
        return ops.einsum("nkjc,lj->nklc", mixed, ops.cast(b, inputs.dtype))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """As many times as many rows and columns, or the given number."""
        batch, rows, columns, channels = input_shape
        if rows is None or columns is None:
            raise ValueError(
                f"'{self.name}' resizes images of a fixed size; got {tuple(input_shape)}. Fix the input's."
            )
        if self.output_size:
            return (batch, *self.output_size, channels)
        return (batch, rows * self.upsampling[0], columns * self.upsampling[1], channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "upsampling": self.upsampling, "output_size": self.output_size}


def _weights(size: int, new: int) -> np.ndarray:
    """What each new point takes of each old one."""
    places = np.arange(new) * ((size - 1) / (new - 1) if new > 1 else 0.0)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(size))), "float32")
