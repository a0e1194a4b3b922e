"""What every normalization layer shares: gamma and beta, epsilon, dtypes and their configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
from keras import constraints, initializers, ops, regularizers

from keras_norms import _arguments, _inputs, _keywords
from keras_norms._types import (
    Config,
    Constraint,
    Dtype,
    Flag,
    Initializer,
    Number,
    Regularizer,
    Shape,
    Tensor,
    Variable,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class AffineNormalization(keras.layers.Layer):
    """A layer that ends in `y = gamma * x_hat + beta`."""

    def __init__(
        self,
        *,
        epsilon: Number,
        center: Flag,
        scale: Flag,
        beta_initializer: Initializer,
        gamma_initializer: Initializer,
        beta_regularizer: Regularizer,
        gamma_regularizer: Regularizer,
        beta_constraint: Constraint,
        gamma_constraint: Constraint,
        **kwargs: Unpack[_keywords.LayerArguments],
    ) -> None:
        _keywords.check_names(type(self), AffineNormalization, kwargs)
        super().__init__(**kwargs)
        # Keras must not cast the inputs to the compute dtype: in float16 an input of 1e5 is already infinite.
        self.autocast = False
        self.supports_masking = True
        self.epsilon = _arguments.epsilon(epsilon)
        self.center = _arguments.flag("center", center)
        self.scale = _arguments.flag("scale", scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.gamma: Variable | None = None
        self.beta: Variable | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Here, as Keras would first build the layer for the shape of whatever came.
        _inputs.check_dense_numbers(args[0] if args else kwargs.get("inputs"), type(self).__name__)
        return super().__call__(*args, **kwargs)

    def _add_gamma_and_beta(self, shape: Shape) -> None:
        if self.scale:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def _widen(self, x: Tensor) -> Tensor:
        """x in the dtype in which statistics are computed: float32 or float64, whatever the policy."""
        x = x if ops.is_tensor(x) else ops.convert_to_tensor(x)
        return cast(x, wide(x.dtype))

    def _gamma_and_beta(self, dtype: Dtype, shape: Shape | None = None) -> tuple[Tensor | None, Tensor | None]:
        """gamma and beta in dtype, in their own shape or another; None where switched off."""
        gamma = None if self.gamma is None else shaped(self.gamma, dtype, shape)
        beta = None if self.beta is None else shaped(self.beta, dtype, shape)
        return gamma, beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }


def wide(dtype: Dtype) -> str:
    """float64 for float64, else float32. Keras' own result_type narrows float64 on every backend but TensorFlow."""
    return "float64" if keras.backend.standardize_dtype(dtype) == "float64" else "float32"


def cast(x: Tensor, dtype: Dtype) -> Tensor:
    """ops.cast, skipped where x already has the dtype: in eager PyTorch the call alone costs time.

    On TensorFlow it is never skipped, because there it also turns a variable into a tensor.
    """
    standardize = keras.backend.standardize_dtype
    if keras.backend.backend() != "tensorflow" and standardize(x.dtype) == standardize(dtype):
        return x
    return ops.cast(x, dtype)


def shaped(weight: Variable, dtype: Dtype, shape: Shape | None) -> Tensor:
    """The value of a weight in dtype, in its own shape or another."""
    value = cast(weight.value, dtype)
    return value if shape is None or tuple(value.shape) == tuple(shape) else ops.reshape(value, shape)
