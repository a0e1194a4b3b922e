"""Faster training forms for TensorFlow; the only file that imports it, and only when its backend computes.

Batch statistics come from TensorFlow's fused batch norm kernel. Group and layer normalization carry their own gradient,
which keeps one tensor of the input's size and needs fewer passes over memory than the derivative of each operation:

    g    = gamma * dy                     x_hat = (x - mean) * inv
    dx   = inv * (g - mean(g) - x_hat * mean(g * x_hat))       means over what shares a mean
    dgamma = sum(dy * x_hat)              dbeta = sum(dy)
"""

import keras

# cuDNN takes no smaller epsilon, and TensorFlow silently raises it.
_SMALLEST_FUSED_EPSILON = 1.001e-5


def is_backend():
    return keras.backend.backend() == "tensorflow"


def is_fused(x, axis, epsilon):
    """Whether TensorFlow's fused batch norm kernel takes x."""
    return (
        is_backend()
        and axis == len(x.shape) - 1
        and keras.backend.standardize_dtype(x.dtype) in ("float32", "float16", "bfloat16")
        and epsilon >= _SMALLEST_FUSED_EPSILON
    )


def _as_images(x):
    """x of any rank, channels last, in the four axes the kernel wants."""
    import tensorflow as tf

    return x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, x.shape[-1]))


def batch_norm(x, gamma, beta, epsilon, correct=None):
    """y, and the mean and the biased variance of x over all axes but the last.

    correct(mean, variance) gives batch renormalization's (r, d), constants of the gradient.
    """
    import tensorflow as tf

    images = _as_images(x)
    channels = (x.shape[-1],)
    gamma = tf.ones(channels) if gamma is None else gamma
    beta = tf.zeros(channels) if beta is None else beta
    nothing = tf.zeros((0,))

    def train(images, scale, offset):
        return tf.raw_ops.FusedBatchNormV3(
            x=images, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
        )

    if correct is None:
        fused = train(images, gamma, beta)
        y, mean, variance = fused.y, fused.batch_mean, _biased(fused.batch_variance, images)
    else:
        fused = train(tf.stop_gradient(images), tf.ones(channels), tf.zeros(channels))
        mean, variance = fused.batch_mean, _biased(fused.batch_variance, images)
        r, d = correct(mean, variance)

        @tf.custom_gradient
        def renormalize(images, scale, offset):
            y = tf.raw_ops.FusedBatchNormV3(
                x=images, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
            ).y

            def gradient(dy):
                back = tf.raw_ops.FusedBatchNormGradV3(
                    y_backprop=dy,
                    x=images,
                    scale=scale,
                    reserve_space_1=fused.reserve_space_1,
                    reserve_space_2=fused.reserve_space_2,
                    reserve_space_3=fused.reserve_space_3,
                    epsilon=epsilon,
                    is_training=True,
                )
                return back.x_backprop, back.scale_backprop, back.offset_backprop

            return y, gradient

        y = renormalize(images, gamma * r, beta + gamma * d)
    y = y if len(x.shape) == 4 else tf.reshape(y, tf.shape(x))
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


def _biased(variance, images):
    """The kernel divides by n - 1, and by 1 where n is 1."""
    import tensorflow as tf

    if images.shape[:3].is_fully_defined():
        n = images.shape[:3].num_elements()
        return variance * ((max(n, 2) - 1) / max(n, 2))
    n = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), variance.dtype)
    n = tf.maximum(n, 2.0)
    return variance * ((n - 1.0) / n)


def group_norm(x, gamma, beta, channels_per_group, epsilon):
    """Group normalization of x, channels last, without a mask."""
    import tensorflow as tf

    channels = x.shape[-1]
    gamma = tf.ones((channels,), x.dtype) if gamma is None else gamma
    beta = tf.zeros((channels,), x.dtype) if beta is None else beta
    positions = x.shape[1:-1].num_elements() if len(x.shape) > 2 else 1
    dynamic_positions = tf.reduce_prod(tf.shape(x)[1:-1]) if positions is None else positions
    divisor = tf.cast(tf.maximum(dynamic_positions, 1), x.dtype)

    def mean_positions(v):
        if positions is None or positions < 1:
            return tf.reduce_sum(v, axis=1, keepdims=True) / divisor
        if positions == 1:
            return v
        # Measured: pooling takes a third of the time of reduce_sum on a large tensor.
        return tf.nn.avg_pool2d(v[:, :, None, :], (positions, 1), 1, "VALID")[:, :, 0, :]

    def group(channel_means):
        if channels_per_group == 1:
            return channel_means
        rows = tf.reshape(channel_means, (-1, channels_per_group))
        means = tf.reduce_mean(rows, axis=-1, keepdims=True)
        return tf.reshape(tf.broadcast_to(means, tf.shape(rows)), tf.shape(channel_means))

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        v = tf.reshape(x, (-1, dynamic_positions, channels))
        centred = v - group(mean_positions(v))
        offset = group(mean_positions(centred))
        inv = tf.math.rsqrt(tf.maximum(group(mean_positions(tf.square(centred))) - tf.square(offset), 0.0) + epsilon)
        scale = inv * gamma
        y = centred * scale + (beta - offset * scale)

        def gradient(upstream):
            dy = tf.reshape(upstream, tf.shape(v))
            mean_dy = mean_positions(dy)
            mean_dy_x = (mean_positions(dy * centred) - offset * mean_dy) * inv
            along_x = group(mean_dy_x * gamma) * tf.square(inv)
            shift = group(mean_dy * gamma) * inv - offset * along_x
            dx = dy * scale - (centred * along_x + shift)
            dgamma, dbeta = (tf.reduce_sum(m, axis=(0, 1)) * divisor for m in (mean_dy_x, mean_dy))
            return tf.reshape(dx, tf.shape(x)), dgamma, dbeta

        return tf.reshape(y, tf.shape(x)), gradient

    return normalize(x, gamma, beta)


def layer_norm(x, gamma, beta, features, epsilon):
    """Layer normalization over the last axes of x, which hold `features` values; gamma and beta are flat."""
    import tensorflow as tf

    gamma = tf.ones((features,), x.dtype) if gamma is None else gamma
    beta = tf.zeros((features,), x.dtype) if beta is None else beta

    def mean(v):
        return tf.reduce_mean(v, axis=-1, keepdims=True)

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        rows = tf.reshape(x, (-1, features))
        centred = rows - mean(rows)
        offset = mean(centred)
        inv = tf.math.rsqrt(tf.maximum(mean(tf.square(centred)) - tf.square(offset), 0.0) + epsilon)
        x_hat = centred * inv - offset * inv
        y = x_hat * gamma + beta

        def gradient(upstream):
            dy = tf.reshape(upstream, (-1, features))
            dy_x = dy * x_hat
            dx = (dy * gamma - (x_hat * mean(dy_x * gamma) + mean(dy * gamma))) * inv
            # Measured: the gradient of bias_add sums rows several times faster than reduce_sum.
            sums = (tf.raw_ops.BiasAddGrad(out_backprop=v) for v in (dy_x, dy))
            return tf.reshape(dx, tf.shape(x)), *sums

        return tf.reshape(y, tf.shape(x)), gradient

    return normalize(x, gamma, beta)


def sum_over_replicas(value):
    """Sum of value over all replicas; value itself outside of a replica context."""
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return value if context is None else context.all_reduce(tf.distribute.ReduceOp.SUM, tf.convert_to_tensor(value))
