"""Norms of TensorFlow Addons and keras_contrib that compute something of their own, for models that hold them.

    keras_contrib's instance norm   y = gamma (x - mean) / (sqrt(var) + epsilon) + beta      epsilon outside of the root
    keras_contrib's group norm      y = gamma (x - mean) / sqrt(var + epsilon) + beta        over pieces of memory
    filter response norm (Addons)   y = gamma x / sqrt(mean(x^2) + epsilon + |e|) + beta     e is learnt, or absent

The layers are registered, so that a model with them saves and loads wherever `keras_norms` is imported.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class _Norm(keras.layers.Layer):
    """What they share: an epsilon, an axis, gamma and beta."""

    def __init__(self, axis: Any = None, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale
        self.supports_masking = True
        self.gamma: Any = None
        self.beta: Any = None

    def _add_affine(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.gamma = self.add_weight(shape, initializer="ones", name="gamma")
        if self.center:
            self.beta = self.add_weight(shape, initializer="zeros", name="beta")

    def _affine(self, x: Any, shape: tuple[int, ...]) -> Any:
        x = x if self.gamma is None else x * ops.reshape(self.gamma, shape)
        return x if self.beta is None else x + ops.reshape(self.beta, shape)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """As the input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {"axis": self.axis, "epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="keras_norms")
class ContribInstanceNormalization(_Norm):
    """keras_contrib's InstanceNormalization: without an axis over the whole sample, gamma and beta of one number."""

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        self._add_affine((1,) if self.axis is None else (input_shape[self.axis],))

    def call(self, inputs: Any) -> Any:
        """Normalize each sample."""
        rank = len(inputs.shape)
        kept = {0} if self.axis is None else {0, self.axis % rank}
        axes = [axis for axis in range(rank) if axis not in kept]
        centered = inputs - ops.mean(inputs, axis=axes, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(centered), axis=axes, keepdims=True))
        sizes = tuple(inputs.shape[axis] if axis in kept - {0} else 1 for axis in range(rank))
        return self._affine(centered / (deviation + self.epsilon), sizes)


@keras.saving.register_keras_serializable(package="keras_norms")
class ContribGroupNormalization(_Norm):
    """keras_contrib's GroupNormalization: it cuts each sample into groups as it lies in memory, whatever its axis."""

    def __init__(self, groups: int = 32, axis: int = -1, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(axis, epsilon, **kwargs)
        self.groups = groups

    def build(self, input_shape: Any) -> None:
        """Make gamma and beta."""
        self._add_affine((input_shape[self.axis],))

    def call(self, inputs: Any) -> Any:
        """Normalize each piece."""
        sizes = list(inputs.shape[1:])
        place = self.axis % len(inputs.shape) - 1
        sizes[place] = sizes[place] // self.groups
        shape = [1] * len(sizes)
        shape[place] = sizes[place]
        x = ops.reshape(inputs, (-1, self.groups, *sizes))
        axes = list(range(2, len(sizes) + 2))
        centered = x - ops.mean(x, axis=axes, keepdims=True)
        variance = ops.mean(ops.square(centered), axis=axes, keepdims=True)
        normed = self._affine(centered / ops.sqrt(variance + self.epsilon), (1, self.groups, *shape))
        return ops.reshape(normed, (-1, *inputs.shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "groups": self.groups}


@keras.saving.register_keras_serializable(package="keras_norms")
class FilterResponseNormalization(_Norm):
    """TensorFlow Addons' FilterResponseNormalization."""

    def __init__(self, epsilon: float = 1e-6, axis: Any = (1, 2), learned_epsilon: bool = False, **kwargs: Any) -> None:
        super().__init__(list(axis), epsilon, **kwargs)
        self.learned_epsilon = learned_epsilon

    def build(self, input_shape: Any) -> None:
        """Make the learnt epsilon, gamma and beta."""
        self.learned = self.add_weight((1,), name="learned_epsilon") if self.learned_epsilon else None
        self._add_affine((1, 1, 1, input_shape[-1]))

    def call(self, inputs: Any) -> Any:
        """Scale each channel to a mean square of one."""
        epsilon = abs(self.epsilon) if self.learned is None else ops.abs(self.learned) + abs(self.epsilon)
        square = ops.mean(ops.square(inputs), axis=self.axis, keepdims=True)
        return self._affine(inputs * ops.rsqrt(square + epsilon), (1, 1, 1, inputs.shape[-1]))

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "learned_epsilon": self.learned_epsilon}
