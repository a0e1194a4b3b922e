"""Normalization of each sample over its positions and groups of its channels, without reshaping the full tensor.

mean over positions -> [N, 1, 1, C]; only that is reshaped to [N, G, C/G], averaged and spread over the group again
"""

import keras
from keras import ops

from keras_norms import _arguments, _axes, _tensorflow
from keras_norms._affine import AffineNormalization
from keras_norms._statistics import affine, at_least_one, counted_sum, moments, position_count


class GroupedNormalization(AffineNormalization):
    """What group and instance normalization share."""

    def __init__(self, *, axis, **kwargs):
        super().__init__(**kwargs)
        self.axis = _arguments.axis(axis)

    def build(self, input_shape):
        axis = _axes.channel_axis(self.axis, input_shape, type(self).__name__)
        self._add_gamma_and_beta((input_shape[axis],))
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})

    def call(self, inputs, mask=None):
        x = self._widen(inputs)
        axis = self.axis % len(x.shape)
        if mask is None and axis == len(x.shape) - 1 and _tensorflow.is_backend():
            gamma, beta = self._gamma_and_beta(x.dtype)
            per_group = self._channels_per_group(x.shape[axis])
            y = _tensorflow.group_norm(x, gamma, beta, per_group, self.epsilon)
        else:
            y = self._normalize(x, axis, None if mask is None else _axes.expand_mask(mask, x, axis))
        return ops.cast(y, self.compute_dtype)

    def _normalize(self, x, axis, mask):
        axes = tuple(a for a in range(1, len(x.shape)) if a != axis)
        count = position_count(x, axes, mask, x.dtype)
        divisor = at_least_one(count)
        per_group = self._channels_per_group(x.shape[axis])
        statistics = moments(x, lambda v: _group_means(counted_sum(v, axes, mask) / divisor, per_group))
        scale = ops.rsqrt(statistics.variance + self.epsilon)
        if not isinstance(count, int):
            # A sample without a position that counts has no scale; zero makes its output beta.
            scale = ops.where(count > 0, scale, ops.zeros((), dtype=scale.dtype))
        gamma, beta = self._gamma_and_beta(x.dtype, _axes.broadcast_shape([axis], x.shape))
        return affine(statistics.centred, statistics.offset, scale if gamma is None else scale * gamma, beta)

    def get_config(self):
        return {**super().get_config(), "axis": self.axis}


def _group_means(channel_means, per_group):
    """Each channel's mean replaced by that of its group of neighbouring channels."""
    if per_group == 1:
        return channel_means
    shape = ops.shape(channel_means)
    rows = ops.reshape(channel_means, (-1, per_group))
    return ops.reshape(ops.broadcast_to(ops.mean(rows, axis=-1, keepdims=True), ops.shape(rows)), shape)
