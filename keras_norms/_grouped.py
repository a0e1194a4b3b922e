"""Normalization of each sample over its positions and over groups of its channels, without reshaping the full tensor.

The mean over positions has the shape [N, 1, 1, C]. Only that is reshaped, to [N, G, C/G], and averaged over C/G.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_norms import _arguments, _axes, _tensorflow, _tensorflow_sample, _torch, _torch_state
from keras_norms._affine import AffineNormalization, cast
from keras_norms._statistics import affine, at_least_one, counted_sum, first_of, moments, position_count
from keras_norms._types import Config, Integer, Shape, Tensor


class GroupedNormalization(AffineNormalization):
    """The base class of group and instance normalization."""

    def __init__(self, *, axis: Integer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _arguments.axis(axis)

    def build(self, input_shape: Shape) -> None:
        axis = _axes.channel_axis(self.axis, input_shape, type(self).__name__)
        self._add_gamma_and_beta((input_shape[axis],))
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})

    def _channels_per_group(self, channels: int) -> int:
        raise NotImplementedError

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self._widen(inputs)
        axis = self.axis % len(x.shape)
        per_group = self._channels_per_group(x.shape[axis])
        native = self._native(x, per_group) if mask is None and axis == len(x.shape) - 1 else None
        if native:
            gamma, beta = self._gamma_and_beta(x.dtype)
            y = native(x, gamma, beta, per_group, self.epsilon)
        elif len(x.shape) == 2 and mask is None:
            y = self._normalize_rows(x, per_group)
        else:
            y = self._normalize(x, axis, None if mask is None else _axes.expand_mask(mask, x, axis))
        return cast(y, self.compute_dtype)

    def _native(self, x: Tensor, per_group: int) -> Callable[..., Tensor] | None:
        """A faster function of the backend for channels-last inputs without a mask, or None."""
        if _tensorflow.takes(x, self.gamma, self.beta):
            return _tensorflow_sample.group_norm
        if not _torch_state.takes(x):
            return None
        if per_group > 1:
            return _torch.group_norm
        return _torch.instance_norm if _torch.takes_samples_apart(x) else None

    def _normalize_rows(self, x: Tensor, per_group: int) -> Tensor:
        rows = _rows(x, per_group)
        statistics = moments(rows, _mean_of_rows, first_of(rows, (2,)))
        centred = statistics.centred - statistics.offset
        x_hat = ops.reshape(centred * ops.rsqrt(statistics.variance + self.epsilon), ops.shape(x))
        gamma, beta = self._gamma_and_beta(x.dtype)
        return affine(x_hat, None, 1.0 if gamma is None else gamma, beta)

    def _normalize(self, x: Tensor, axis: int, mask: Tensor | None) -> Tensor:
        axes = tuple(a for a in range(1, len(x.shape)) if a != axis)
        count = position_count(x, axes, mask, x.dtype)
        divisor = at_least_one(count)
        per_group = self._channels_per_group(x.shape[axis])
        pivot = _group_means(first_of(x, axes), per_group) if mask is None else None
        statistics = moments(x, lambda v: _group_means(counted_sum(v, axes, mask) / divisor, per_group), pivot)
        scale = ops.rsqrt(statistics.variance + self.epsilon)
        if not isinstance(count, int):
            # If every position of a sample is masked, its scale is set to zero, so that its output is beta.
            scale = ops.where(count > 0, scale, ops.zeros((), dtype=scale.dtype))
        gamma, beta = self._gamma_and_beta(x.dtype, _axes.broadcast_shape([axis], x.shape))
        return affine(statistics.centred, statistics.offset, scale if gamma is None else scale * gamma, beta)

    def get_config(self) -> Config:
        return {**super().get_config(), "axis": self.axis}


def _rows(x: Tensor, per_group: int) -> Tensor:
    """[N, G, C/G] of a tensor that has no positions. Exporters lose count of samples that are merged with groups."""
    return ops.reshape(x, (-1, math.prod(x.shape[1:]) // per_group, per_group))


def _mean_of_rows(rows: Tensor) -> Tensor:
    # Keras' mean would narrow float64 on every backend but TensorFlow.
    return ops.sum(rows, axis=-1, keepdims=True) / rows.shape[-1]


def _group_means(channel_means: Tensor, per_group: int) -> Tensor:
    """Each channel's mean replaced by that of its group of neighbouring channels."""
    if per_group == 1:
        return channel_means
    shape = ops.shape(channel_means)
    rows = _rows(channel_means, per_group)
    return ops.reshape(ops.broadcast_to(_mean_of_rows(rows), ops.shape(rows)), shape)
