"""Layer normalization: each sample over its feature axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

from keras_norms import _arguments, _axes, _tensorflow, _tensorflow_sample, _torch, _torch_state
from keras_norms._affine import AffineNormalization, cast
from keras_norms._keywords import LayerArguments, without
from keras_norms._statistics import affine, at_least_one, counted_sum, first_of, position_count
from keras_norms._types import Config, Constraint, Flag, Initializer, Integer, Number, Regularizer, Shape, Tensor

if TYPE_CHECKING:
    from typing_extensions import Unpack


@keras.saving.register_keras_serializable(package="keras_norms")
class LayerNormalization(AffineNormalization):
    """Normalizes each sample over its feature axes.

        y = gamma * (x - mean) / sqrt(var + epsilon) + beta

    mean and var, the biased variance, are taken over `axis` for each entry of the other axes; gamma and beta have the
    sizes of the input along `axis`, in ascending order. Training and inference are the same; a mask passes through and
    changes nothing, as each position has statistics of its own.

    Example:

    >>> x = np.array([[1.0, 3.0], [10.0, 30.0]], dtype="float32")
    >>> print(keras.ops.convert_to_numpy(LayerNormalization(epsilon=0.0)(x)))
    [[-1.  1.]
     [-1.  1.]]

    Args:
        axis: The feature axis, or a list of them. Not the batch axis.
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

    Input shape: any of rank 2 or more.

    Output shape: that of the input, in the policy's compute dtype.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or an axis is the batch axis, named twice, no axis of the input, or
            of unknown size.

    Precision: statistics are taken in float32 or wider, of centred inputs. Against float64, outputs of float32 inputs
    of unit variance are exact to 1e-4 at a mean of 1e4 and to 2e-3 at a mean of 1e6.

    Export: to means over `axis` and one scaling.

    Reference: Ba et al., 2016, https://arxiv.org/abs/1607.06450.
    """

    def __init__(
        self,
        axis: Integer | Sequence[Integer] = -1,
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
        if kwargs.get("rms_scaling"):
            raise ValueError(
                "`rms_scaling` is not supported: it scales by the variance without centring. "
                "Received: rms_scaling=True. Use keras.layers.RMSNormalization."
            )
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
            **without(kwargs, "rms_scaling"),
        )
        self.axis = _arguments.axes(axis)

    def build(self, input_shape: Shape) -> None:
        axes = _axes.feature_axes(self.axis, input_shape, type(self).__name__)
        self._add_gamma_and_beta(tuple(input_shape[a] for a in axes))
        # In place of an InputSpec, whose check is a tenth of a call in eager PyTorch.
        self._built_for = len(input_shape), {a: input_shape[a] for a in axes}

    def _check(self, shape: Shape) -> None:
        rank, sizes = self._built_for
        if len(shape) != rank or any(shape[a] not in (size, None) for a, size in sizes.items()):
            raise ValueError(
                "The input has to have the rank, and along `axis` the sizes, that this layer was built for. "
                f"Received: input shape {tuple(shape)}; built for rank {rank} and sizes {sizes} by axis. "
                "Use another layer for inputs of another kind."
            )

    def call(self, inputs: Tensor) -> Tensor:
        x = self._widen(inputs)
        self._check(x.shape)
        axes = tuple(self._built_for[1])
        if axes[-1] - axes[0] + 1 == len(axes) and axes[-1] == len(x.shape) - 1:
            if _tensorflow.takes(x, self.gamma, self.beta):
                features = math.prod(x.shape[a] for a in axes)
                gamma, beta = self._gamma_and_beta(x.dtype, (features,))
                return cast(_tensorflow_sample.layer_norm(x, gamma, beta, features, self.epsilon), self.compute_dtype)
            if _torch_state.takes(x):
                gamma, beta = self._gamma_and_beta(x.dtype)
                return cast(_torch.layer_norm(x, gamma, beta, len(axes), self.epsilon), self.compute_dtype)
        return cast(self._normalize(x, axes), self.compute_dtype)

    def _normalize(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        divisor = at_least_one(position_count(x, axes, None, x.dtype))
        gamma, beta = self._gamma_and_beta(x.dtype, _axes.broadcast_shape(axes, x.shape))
        # From a value of x itself, which is near the mean, the mean is hardly rounded.
        centred = x - ops.stop_gradient(first_of(x, axes))
        centred = centred - counted_sum(centred, axes, None) / divisor
        scale = ops.rsqrt(counted_sum(ops.square(centred), axes, None) / divisor + self.epsilon)
        return affine(centred, None, scale if gamma is None else scale * gamma, beta)

    def get_config(self) -> Config:
        config = {**super().get_config(), "axis": self.axis}
        if isinstance(self.axis, list) and len(self.axis) > 1:
            # Keras' reader of legacy .h5 files drops an axis of several elements.
            config["axes"] = self.axis
        return config

    @classmethod
    def from_config(cls, config: Config) -> LayerNormalization:
        config = dict(config)
        axes = config.pop("axes", None)
        layer: LayerNormalization = super().from_config(config if axes is None else {**config, "axis": axes})
        return layer
