"""Group and layer normalization on TensorFlow, with hand-written gradients.

A hand-written gradient keeps one tensor of the input's size and needs fewer passes over memory than the derivatives of
the single operations:

    g    = gamma * dy                     x_hat = (x - mean) * inv
    dx   = inv * (g - mean(g) - x_hat * mean(g * x_hat))       means over what shares a mean
    dgamma = sum(dy * x_hat)              dbeta = sum(dy)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_norms._tensorflow import compiled_by_xla, is_recorded, on_any_device, takes_any_kernel
from keras_norms._tensorflow_gradients import derived_as, in_single_operations, unrecorded
from keras_norms._types import MeanOf, Tensor

# The error of x*scale + shift is about 1e-7 of the mean. If the mean is further than this many standard deviations from
# zero, x is centred first.
_FAR_FROM_ZERO = 16.0
# The error of E[x^2] - mean^2 is about 1e-7 of E[x^2]. If the mean is further than this many standard deviations from
# zero, the variance is computed as the mean of (x - mean)^2.
_OFF_ZERO = 2.0


def group_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, channels_per_group: int, epsilon: float) -> Tensor:
    """Group normalization of x, channels last, without a mask."""
    import tensorflow as tf

    channels = x.shape[-1]
    gamma, beta = _or_identity(gamma, beta, channels, x.dtype)
    if len(x.shape) == 2:
        return _rows_norm(x, gamma, beta, channels_per_group, epsilon)
    if not is_recorded():
        return _group_norm_without_branches(x, gamma, beta, channels_per_group, epsilon)
    groups = _Groups(channels_per_group, epsilon, *_means_over_positions(x))

    @tf.custom_gradient
    def normalize(x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        def forward(centred: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            inv = tf.math.rsqrt(variance + epsilon)
            scale = inv * gamma
            return centred * scale + (beta - mean * scale), mean, inv

        with unrecorded():
            v = tf.reshape(x, (-1, groups.positions, channels))
            pivot, spread = groups.moments(v)
            far = tf.reduce_any(tf.square(pivot) > _FAR_FROM_ZERO**2 * (spread + epsilon))
            y, mean, inv = tf.cond(
                far, lambda: forward(v - pivot, *groups.moments(v - pivot)), lambda: forward(v, pivot, spread)
            )
            y = tf.reshape(y, tf.shape(x))

        def gradient(dy: Tensor, x: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            dy = tf.reshape(dy, tf.shape(v))
            # v - pivot is computed again: to keep it from the forward pass would take as much memory as the input.
            dx, dgamma, dbeta = tf.cond(
                far,
                lambda: groups.backward(dy, v - pivot, mean, inv, gamma),
                lambda: groups.backward(dy, v, mean, inv, gamma),
            )
            return tf.reshape(dx, tf.shape(x)), dgamma, dbeta

        return y, derived_as(groups.plain_backward, gradient, x, gamma)

    return normalize(x, gamma, beta)


def _group_norm_without_branches(
    x: Tensor, gamma: Tensor, beta: Tensor, channels_per_group: int, epsilon: float
) -> Tensor:
    """Group normalization in few operations, none of which depends on data: an exporter may trace this.

    Any value of a group can be the pivot from which the mean is taken; with it, the mean is small and hardly rounded.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    groups = _Groups(channels_per_group, epsilon, *_means_over_positions(x))

    @tf.custom_gradient
    def normalize(x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        v = tf.reshape(x, (-1, groups.positions, channels // channels_per_group, channels_per_group))
        pivot = v[:, :1, :, :1]
        shifted = v - pivot
        mean = tf.reduce_mean(shifted, axis=(1, 3), keepdims=True)
        centred = shifted - mean
        inv = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=(1, 3), keepdims=True) + epsilon)
        y = tf.reshape(centred * inv, tf.shape(x)) * gamma + beta

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            rows = tf.reshape(x, (-1, groups.positions, channels))
            of_channels = (tf.repeat(tf.squeeze(s, 3), channels_per_group, axis=2) for s in (pivot, mean, inv))
            first, rest, scale = of_channels
            dy = tf.reshape(upstream, tf.shape(rows))
            dx, dgamma, dbeta = groups.backward(dy, rows - first, rest, scale, gamma)
            return tf.reshape(dx, tf.shape(x)), dgamma, dbeta

        return y, gradient

    return normalize(x, gamma, beta)


@dataclass(frozen=True)
class _Groups:
    """Moments of (batch, positions, channels) over the positions and over groups of neighbouring channels."""

    channels_per_group: int
    epsilon: float
    mean_positions: MeanOf
    mean_square: MeanOf | None
    positions: Any  # their number: an integer, or a tensor if the shape is unknown

    def means(self, channel_means: Tensor) -> Tensor:
        """Each channel's mean replaced by that of its group."""
        import tensorflow as tf

        if self.channels_per_group == 1:
            return channel_means
        rows = tf.reshape(channel_means, (-1, self.channels_per_group))
        means = tf.reduce_mean(rows, axis=-1, keepdims=True)
        return tf.reshape(tf.broadcast_to(means, tf.shape(rows)), tf.shape(channel_means))

    def moments(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance. The variance is E[x^2] - mean^2 where that is exact enough."""
        import tensorflow as tf

        mean = self.means(self.mean_positions(v))

        def spread() -> Tensor:
            return self.means(self.mean_positions(tf.math.squared_difference(v, mean)))

        if self.mean_square is None:
            return mean, spread()
        squared = tf.square(mean)
        quick = tf.maximum(self.means(self.mean_square(v)) - squared, 0.0)
        safe = tf.reduce_all(squared <= _OFF_ZERO**2 * (quick + self.epsilon))  # not so if any is NaN
        return mean, tf.cond(safe, lambda: quick, spread)

    def backward(self, dy: Tensor, centred: Tensor, mean: Tensor, inv: Tensor, gamma: Tensor) -> tuple[Tensor, ...]:
        """dx, dgamma and dbeta. `mean` and `inv` are those of `centred`."""
        import tensorflow as tf

        mean_dy = self.mean_positions(dy)
        mean_dy_x = (self.mean_positions(dy * centred) - mean * mean_dy) * inv
        along_x = self.means(mean_dy_x * gamma) * tf.square(inv)
        shift = self.means(mean_dy * gamma) * inv - mean * along_x
        sums = (tf.reduce_sum(m, axis=(0, 1)) * tf.cast(self.positions, m.dtype) for m in (mean_dy_x, mean_dy))
        return dy * (inv * gamma) - (centred * along_x + shift), *sums

    def plain_backward(self, dy: Tensor, x: Tensor, gamma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of a whole input, in operations that TensorFlow differentiates quickly."""
        import tensorflow as tf

        grouped = (-1, self.positions, x.shape[-1] // self.channels_per_group, self.channels_per_group)
        upstream, v, scale = tf.reshape(dy, grouped), tf.reshape(x, grouped), tf.reshape(gamma, grouped[2:])
        dx, dgamma, dbeta = in_single_operations(upstream, v, scale, (1, 3), self.epsilon)
        return tf.reshape(dx, tf.shape(x)), tf.reshape(dgamma, (-1,)), tf.reshape(dbeta, (-1,))


def _means_over_positions(x: Tensor) -> tuple[MeanOf, MeanOf | None, Any]:
    """Functions for the mean and for the mean of the square over positions, and the number of positions.

    The functions take (batch, positions, channels). The second is None where the mean of (x - mean)^2 costs no more.
    TensorFlow's Euclidean norm squares and adds in one pass, in less than half the time of a square and a mean, but
    converters and XLA have no such operation.
    """
    import tensorflow as tf

    static = x.shape[1:-1].num_elements()
    positions = tf.reduce_prod(tf.shape(x)[1:-1]) if static is None else static
    if not static or compiled_by_xla():
        divisor = tf.cast(tf.maximum(positions, 1), x.dtype)
        return lambda v: tf.reduce_sum(v, axis=1, keepdims=True) / divisor, None, positions
    if static == 1:
        return lambda v: v, None, positions
    # Measured: windows below 64 are slower. A mean in two stages rounds less than a mean in one.
    width = min(n for n in range(1, static + 1) if static % n == 0 and n >= min(static, max(64, static**0.5)))
    quick_square = _mean_of_squares(static, width, x.shape[-1]) if takes_any_kernel() else None
    # Measured: only with many positions and many channels is Eigen's sum over a middle axis faster than pooling.
    if static >= 256 and x.shape[-1] >= 512:
        return lambda v: tf.reduce_sum(v, axis=1, keepdims=True) / static, quick_square, positions
    return _mean_by_pooling(static, width, x.shape[-1]), quick_square, positions


def _mean_of_squares(positions: int, width: int, channels: int) -> MeanOf:
    import tensorflow as tf

    def quick(v: Tensor) -> Tensor:
        rows = tf.reshape(v, (-1, width, channels))
        norms = tf.reshape(tf.math.reduce_euclidean_norm(rows, axis=1), (-1, positions // width, channels))
        return tf.reduce_sum(tf.square(norms), axis=1, keepdims=True) / positions

    def plain(v: Tensor) -> Tensor:
        return tf.reduce_mean(tf.square(v), axis=1, keepdims=True)

    return lambda v: on_any_device(lambda: quick(v), lambda: plain(v))


def _mean_by_pooling(positions: int, width: int, channels: int) -> MeanOf:
    import tensorflow as tf

    def mean(v: Tensor) -> Tensor:
        images = tf.reshape(v, (-1, positions // width, width, channels))
        rows = tf.nn.avg_pool2d(images, (1, width), 1, "VALID")
        if width < positions:
            rows = tf.nn.avg_pool2d(rows, (positions // width, 1), 1, "VALID")
        return tf.reshape(rows, (-1, 1, channels))

    return mean


def layer_norm(x: Tensor, gamma: Tensor | None, beta: Tensor | None, features: int, epsilon: float) -> Tensor:
    """Layer normalization over the last axes of x, which hold `features` values; gamma and beta are flat."""
    gamma, beta = _or_identity(gamma, beta, features, x.dtype)
    return _rows_norm(x, gamma, beta, features, epsilon)


def _or_identity(gamma: Tensor | None, beta: Tensor | None, length: int, dtype: Any) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    gamma = tf.ones((length,), dtype) if gamma is None else gamma
    return gamma, tf.zeros((length,), dtype) if beta is None else beta


def _rows_norm(x: Tensor, gamma: Tensor, beta: Tensor, features: int, epsilon: float) -> Tensor:
    """Normalizes each run of `features` successive values of x. gamma and beta have the length of one or more runs."""
    import tensorflow as tf

    width = gamma.shape[0]
    mean_square = _mean_square_of_rows(features)  # chosen here, because no gradient is recorded within normalize

    def like_x(v: Tensor) -> Tensor:
        return v if x.shape[-1] == v.shape[-1] else tf.reshape(v, tf.shape(x))

    @tf.custom_gradient
    def normalize(x: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        rows = _rows_of(x, features)
        centred = rows - _mean_of_rows(rows)
        centred = centred - _mean_of_rows(centred)  # removes the rounding error of the first mean
        inv = tf.math.rsqrt(mean_square(centred) + epsilon)
        normalized = centred * inv
        x_hat = _rows_of(normalized, width)
        y = x_hat * gamma + beta

        def gradient(upstream: Tensor) -> tuple[Tensor, ...]:
            dy = _rows_of(upstream, width)
            dy_x = dy * x_hat
            g, g_x = _rows_of(dy * gamma, features), _rows_of(dy_x * gamma, features)
            dx = (g - (normalized * _mean_of_rows(g_x) + _mean_of_rows(g))) * inv
            # Measured: the gradient of bias_add sums rows several times faster than reduce_sum.
            sums = (tf.raw_ops.BiasAddGrad(out_backprop=v) for v in (dy_x, dy))
            return like_x(dx), *sums

        return like_x(y), gradient

    return normalize(x, gamma, beta)


def _rows_of(v: Tensor, length: int) -> Tensor:
    import tensorflow as tf

    return v if v.shape[-1] == length else tf.reshape(v, (-1, length))


def _mean_of_rows(v: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.reduce_mean(v, axis=-1, keepdims=True)


def _mean_square_of_rows(features: int) -> MeanOf:
    """A function for the mean square of each row, with the kernel of the Euclidean norm where that may be used."""
    import tensorflow as tf

    def quick(v: Tensor) -> Tensor:
        return tf.square(tf.math.reduce_euclidean_norm(v, axis=-1, keepdims=True)) / features

    def plain(v: Tensor) -> Tensor:
        return _mean_of_rows(tf.square(v))

    return (lambda v: on_any_device(lambda: quick(v), lambda: plain(v))) if takes_any_kernel() else plain
