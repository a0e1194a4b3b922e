"""Weight standardization: a wrapper that normalizes the kernel of a layer in place of what the layer computes."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_norms import _arguments
from keras_norms._types import Config, Flag, Number, Shape, Tensor

# For each class the axes of its kernel that are no output channel: all but these.
_OUTPUT_AXES: tuple[tuple[tuple[type, ...], tuple[int, ...]], ...] = (
    ((keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D, keras.layers.Dense), (-1,)),
    ((keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose), (-2,)),
    ((keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D), (-2, -1)),
)


@keras.saving.register_keras_serializable(package="keras_norms")
class WeightStandardization(keras.layers.Wrapper):
    """Lets a convolution or dense layer compute with a kernel of mean 0 and variance 1 in each output channel.

        kernel' = (kernel - mean) / sqrt(var + epsilon)
        kernel' = gain * (kernel - mean) / sqrt(fan_in * (var + epsilon))            scaled

    mean and var, the biased variance, are taken over the fan-in: all axes of the kernel that are no output channel
    (height, width and input channels of a convolution's, height and width of a depthwise one's); fan_in is the number
    of weights there. The weights stay those of the layer, and `gain`, learnt, has one entry for each output channel.

    Its scale is for a norm behind the layer to take: group norm with weight standardization trains on tiny batches
    about as batch norm does on large ones. The scaled form keeps the variance of its input instead, so that networks
    without norms can be trained with it.

    Example:

    >>> layer = WeightStandardization(keras.layers.Dense(1, kernel_initializer="ones", use_bias=False))
    >>> layer.build((None, 2))
    >>> layer.layer.set_weights([np.array([[1.0], [3.0]])])
    >>> print(keras.ops.convert_to_numpy(layer(np.array([[10.0, 20.0]]))).round(3))
    [[10.]]

    Args:
        layer: A `Conv1D`, `Conv2D`, `Conv3D`, one of their transposed forms, a `DepthwiseConv1D` or `2D`, or `Dense`.
        scaled: Whether to divide by the root of the fan-in and learn a gain.
        epsilon: Added to the variance, at least 0.
        **kwargs: Arguments of every Keras layer, such as `name`.

    Input shape: that of the layer.

    Output shape: that of the layer.

    Raises:
        TypeError: If `layer` is none of these layers, or an argument has the wrong type.
        ValueError: If an argument is out of range, or an output channel has a fan-in of one weight, which would become
            zero; if the layer is quantized or has LoRA weights.

    Export: `keras_norms.export.fold` puts the plain layer in its place, with the standardized kernel as its weight.

    Reference: Qiao et al., 2019, https://arxiv.org/abs/1903.10520; scaled: Brock et al., 2021,
    https://arxiv.org/abs/2101.08692.
    """

    def __init__(self, layer: Any, scaled: Flag = False, epsilon: Number = 1e-5, **kwargs: Any) -> None:
        outputs = [axes for classes, axes in _OUTPUT_AXES if isinstance(layer, classes)]
        if not outputs:
            names = ", ".join(cls.__name__ for classes, _ in _OUTPUT_AXES for cls in classes)
            raise TypeError(
                f"WeightStandardization wraps one of {names}. Received: {layer!r}. "
                "Wrap the layers of a model or block one by one."
            )
        # The kernel is standardized in its own dtype, whatever the policy of the layer computes in.
        super().__init__(layer, **{"dtype": layer.variable_dtype, **kwargs})
        self.autocast = False
        self.supports_masking = layer.supports_masking
        self.scaled = _arguments.flag("scaled", scaled)
        self.epsilon = _arguments.epsilon(epsilon)
        self._output_axes = outputs[0]
        self.gain: Any = None

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        kernel = self._kernel_variable()
        if self._fan_in(kernel.shape) == 1:
            raise ValueError(
                "Each output channel of the kernel has to have more than one weight: standardized, one alone is zero. "
                f"Received: a kernel of shape {tuple(kernel.shape)} in the layer {self.layer.name!r}. "
                "Use the layer without WeightStandardization."
            )
        if self.scaled:
            shape = tuple(kernel.shape[a] for a in self._output_axes)
            self.gain = self.add_weight(name="gain", shape=shape, initializer="ones", autocast=False)

    def call(self, inputs: Tensor) -> Tensor:
        kernel = self._kernel_variable()
        # All that the layer reads is handed on: a scope hides what the scope around it holds.
        values = [(v, self.standardized_kernel() if v is kernel else v.value) for v in self.layer.variables]
        with keras.StatelessScope(values, collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:
            self.add_loss(loss)
        return outputs

    def standardized_kernel(self) -> Tensor:
        """The kernel with which the layer computes."""
        kernel = self._kernel_variable()
        value = ops.convert_to_tensor(kernel.value)
        rank = len(kernel.shape)
        axes = tuple(a for a in range(rank) if a - rank not in self._output_axes)
        centred = value - ops.mean(value, axis=axes, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=axes, keepdims=True) + self.epsilon
        if not self.scaled:
            return centred * ops.rsqrt(variance)
        shape = tuple(1 if a in axes else kernel.shape[a] for a in range(rank))
        return centred * (ops.rsqrt(self._fan_in(kernel.shape) * variance) * ops.reshape(self.gain, shape))

    def _fan_in(self, shape: tuple[int, ...]) -> int:
        return math.prod(shape) // math.prod(shape[a] for a in self._output_axes)

    def _kernel_variable(self) -> Any:
        lora, quantized = getattr(self.layer, "lora_enabled", False), getattr(self.layer, "quantization_mode", None)
        if lora or quantized:
            has = "has LoRA weights" if lora else f"is quantized ({quantized})"
            raise ValueError(
                f"The layer has to compute with its kernel alone. Received: {self.layer.name!r}, which {has}. "
                "Fold the model first, then quantize it or add LoRA weights."
            )
        return self.layer.kernel

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        shape: Shape = self.layer.compute_output_shape(input_shape)
        return shape

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor) -> Tensor:
        """As the layer's."""
        return self.layer.compute_mask(inputs, previous_mask)

    def get_config(self) -> Config:
        return {**super().get_config(), "scaled": self.scaled, "epsilon": self.epsilon}
