"""A dense layer of one number, for TFLite: y = activation(x W + b) of x as a matrix of one column.

Between a product with one number and a later dense layer TensorFlow's converter merges constants whose shapes it gets
wrong ("'tfl.fully_connected' op num_input_elements / z_in != num_output_elements / z_out"), where Keras adds the bias
behind a reshape. Before the reshape it does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

_ROWS_AND_ONE = 2


def lower(layer: Any, channels_first: bool = False) -> Callable[..., Any] | None:
    if channels_first or layer.quantization_mode is not None or layer.kernel.shape[0] != 1:
        return None

    def call(inputs: Any, training: bool | None = None) -> Any:
        shape = tuple(inputs.shape)
        if len(shape) <= _ROWS_AND_ONE or None in shape:  # the converter does it right
            return type(layer).call(layer, inputs, training=training)
        y = ops.matmul(ops.reshape(inputs, (-1, 1)), layer.kernel)
        y = y if layer.bias is None else y + layer.bias
        y = ops.reshape(y, (*shape[:-1], y.shape[-1]))
        return y if layer.activation is None else layer.activation(y)

    return call
