"""LocallyConnected1D and 2D of Keras 1 and 2, which Keras 3 has no more, for models that were written by them.

    y[p, f] = activation(sum over k of patch[p, k] * kernel[p, k, f] + bias[p, f])

for every place p of the output: a convolution whose kernel is another one at each place. With padding="same" the patch
of place p begins at p * stride - kernel_size // 2, and zeros stand where the input has nothing. The layers are
registered, so that a model with them saves and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _LocallyConnected(keras.layers.Layer):
    """What both have. The kernel and the bias are those of channels last, wherever the channels are."""

    rank = 0

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        padding: str = "valid",
        data_format: str = "channels_last",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _sizes(kernel_size, self.rank)
        self.strides = _sizes(strides, self.rank)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.padding = padding
        self.data_format = data_format
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def build(self, input_shape: Any) -> None:
        """Make a kernel for each place of the output."""
        shape = self._with_channels_last(input_shape)
        self.input_sizes = shape[1:-1]
        places = self.places_of(shape)
        count, patch = 1, shape[-1]
        for number, size in zip(places, self.kernel_size, strict=True):
            count, patch = count * number, patch * size
        self.kernel = self.add_weight((count, patch, self.filters), name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((*places, self.filters), initializer="zeros", name="bias")

    def call(self, inputs: Any) -> Any:
        """Every patch of the input with the kernel of its place."""
        first = self.data_format == "channels_first"
        inputs = ops.moveaxis(inputs, 1, -1) if first else inputs
        places = self.places_of(inputs.shape)
        outputs = ops.einsum("npk,pkf->npf", self._patches(inputs, places), self.kernel)
        outputs = ops.reshape(outputs, (-1, *places, self.filters))
        outputs = self.activation(outputs + self.bias if self.use_bias else outputs)
        return ops.moveaxis(outputs, -1, 1) if first else outputs

    def _patches(self, inputs: Any, places: list[int]) -> Any:
        """The input under the kernel at each place, as rows of one axis: (batch, place, number in the patch)."""
        found: list[Any] = [self._padded(inputs, places)]
        for axis, (number, size, stride) in enumerate(
            zip(places, self.kernel_size, self.strides, strict=True), start=1
        ):
            last = (number - 1) * stride + 1
            found = [_cut(x, axis, at, at + last, stride) for x in found for at in range(size)]
        return ops.reshape(ops.stack(found, axis=-2), (-1, _product(places), len(found) * inputs.shape[-1]))

    def _padded(self, inputs: Any, places: list[int]) -> Any:
        if self.padding == "valid":
            return inputs
        sizes = zip(inputs.shape[1:-1], places, self.kernel_size, self.strides, strict=True)
        ends = [(size // 2, (number - 1) * step - size // 2 + size - length) for length, number, size, step in sizes]
        return ops.pad(inputs, [(0, 0), *((before, max(after, 0)) for before, after in ends), (0, 0)])

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """The places where the kernel fits, or every step of the input."""
        places = self.places_of(self._with_channels_last(input_shape))
        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, *places)
        return (input_shape[0], *places, self.filters)

    def places_of(self, shape: Any) -> list[int]:
        """The sizes of the output, of the shape of an input whose channels are last."""
        sizes = zip(shape[1:-1], self.kernel_size, self.strides, strict=True)
        if self.padding == "same":
            return [-(-length // stride) for length, _, stride in sizes]
        return [(length - size) // stride + 1 for length, size, stride in sizes]

    def _with_channels_last(self, shape: Any) -> tuple[Any, ...]:
        return (shape[0], *shape[2:], shape[1]) if self.data_format == "channels_first" else tuple(shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "padding": self.padding,
            "data_format": self.data_format,
        }


@keras.saving.register_keras_serializable(package="keras_norms")
class LocallyConnected1D(_LocallyConnected):
    """Over rows: (batch, steps, channels), or (batch, channels, steps)."""

    rank = 1


@keras.saving.register_keras_serializable(package="keras_norms")
class LocallyConnected2D(_LocallyConnected):
    """Over images: (batch, rows, columns, channels), or (batch, channels, rows, columns)."""

    rank = 2


def _sizes(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _product(numbers: list[int]) -> int:
    found = 1
    for number in numbers:
        found *= number
    return found


def _cut(x: Any, axis: int, start: int, stop: int, stride: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop, stride),)]
