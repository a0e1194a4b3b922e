"""Group and layer normalization for TensorFlow, with gradients of their own.

A gradient that is written out keeps one tensor of the input's size and needs fewer passes over memory than the
derivative of each operation:

    g    = gamma * dy                     x_hat = (x - mean) * inv
    dx   = inv * (g - mean(g) - x_hat * mean(g * x_hat))       means over what shares a mean
    dgamma = sum(dy * x_hat)              dbeta = sum(dy)
"""

from keras_norms._tensorflow import compiled_by_xla, takes_any_kernel

# x*scale + shift rounds to about 1e-7 of the mean. Beyond this many standard deviations from zero x is centred first.
_FAR_FROM_ZERO = 16.0
# E[x^2] - mean^2 rounds to about 1e-7 of E[x^2]. Beyond this many the variance is the mean of (x - mean)^2.
_OFF_ZERO = 2.0


def group_norm(x, gamma, beta, channels_per_group, epsilon):
    """Group normalization of x, channels last, without a mask."""
    import tensorflow as tf

    channels = x.shape[-1]
    gamma = tf.ones((channels,), x.dtype) if gamma is None else gamma
    beta = tf.zeros((channels,), x.dtype) if beta is None else beta
    if len(x.shape) == 2:
        return _rows_norm(x, gamma, beta, channels_per_group, epsilon)
    mean_positions, mean_square, positions = _means_over_positions(x)

    def group(channel_means):
        if channels_per_group == 1:
            return channel_means
        rows = tf.reshape(channel_means, (-1, channels_per_group))
        means = tf.reduce_mean(rows, axis=-1, keepdims=True)
        return tf.reshape(tf.broadcast_to(means, tf.shape(rows)), tf.shape(channel_means))

    def moments(v):
        mean = group(mean_positions(v))

        def spread():
            return group(mean_positions(tf.math.squared_difference(v, mean)))

        if mean_square is None:
            return mean, spread()
        squared = tf.square(mean)
        quick = tf.maximum(group(mean_square(v)) - squared, 0.0)
        safe = tf.reduce_all(squared <= _OFF_ZERO**2 * (quick + epsilon))  # not so if any is NaN
        return mean, tf.cond(safe, lambda: quick, spread)

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        v = tf.reshape(x, (-1, positions, channels))
        pivot, spread = moments(v)
        far = tf.reduce_any(tf.square(pivot) > _FAR_FROM_ZERO**2 * (spread + epsilon))

        def forward(centred, mean, variance):
            inv = tf.math.rsqrt(variance + epsilon)
            scale = inv * gamma
            return centred * scale + (beta - mean * scale), mean, inv

        y, mean, inv = tf.cond(far, lambda: forward(v - pivot, *moments(v - pivot)), lambda: forward(v, pivot, spread))

        def gradient(upstream):
            dy = tf.reshape(upstream, tf.shape(v))

            def backward(centred):
                mean_dy = mean_positions(dy)
                mean_dy_x = (mean_positions(dy * centred) - mean * mean_dy) * inv
                along_x = group(mean_dy_x * gamma) * tf.square(inv)
                shift = group(mean_dy * gamma) * inv - mean * along_x
                return dy * (inv * gamma) - (centred * along_x + shift), mean_dy_x, mean_dy

            # Centred anew: to keep it for this would take as much memory as the input.
            dx, *means = tf.cond(far, lambda: backward(v - pivot), lambda: backward(v))
            dgamma, dbeta = (tf.reduce_sum(m, axis=(0, 1)) * tf.cast(positions, m.dtype) for m in means)
            return tf.reshape(dx, tf.shape(x)), dgamma, dbeta

        return tf.reshape(y, tf.shape(x)), gradient

    return normalize(x, gamma, beta)


def _means_over_positions(x):
    """The means of (batch, positions, channels) over positions and of its square, as functions; how many these are.

    None for that of the square where the mean of (x - mean)^2 costs no more. The kernel of the Euclidean norm squares
    while it sums, at less than half the time of a square and a mean, but converters and XLA do not have it.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    static = x.shape[1:-1].num_elements()
    positions = tf.reduce_prod(tf.shape(x)[1:-1]) if static is None else static
    if not static or compiled_by_xla():
        divisor = tf.cast(tf.maximum(positions, 1), x.dtype)
        return lambda v: tf.reduce_sum(v, axis=1, keepdims=True) / divisor, None, positions
    if static == 1:
        return lambda v: v, None, positions
    # Measured: windows below 64 are slower. In two stages a mean rounds less than in one.
    width = min(n for n in range(1, static + 1) if static % n == 0 and n >= min(static, max(64, static**0.5)))

    def mean_square(v):
        rows = tf.reshape(v, (-1, width, channels))
        norms = tf.reshape(tf.math.reduce_euclidean_norm(rows, axis=1), (-1, static // width, channels))
        return tf.reduce_sum(tf.square(norms), axis=1, keepdims=True) / static

    quick_square = mean_square if takes_any_kernel() else None
    # Measured: Eigen's sum over a middle axis is the faster one for many positions of many channels only.
    if static >= 256 and channels >= 512:
        return lambda v: tf.reduce_sum(v, axis=1, keepdims=True) / static, quick_square, positions

    def mean(v):
        images = tf.reshape(v, (-1, static // width, width, channels))
        rows = tf.nn.avg_pool2d(images, (1, width), 1, "VALID")
        if width < static:
            rows = tf.nn.avg_pool2d(rows, (static // width, 1), 1, "VALID")
        return tf.reshape(rows, (-1, 1, channels))

    return mean, quick_square, positions


def layer_norm(x, gamma, beta, features, epsilon):
    """Layer normalization over the last axes of x, which hold `features` values; gamma and beta are flat."""
    import tensorflow as tf

    gamma = tf.ones((features,), x.dtype) if gamma is None else gamma
    beta = tf.zeros((features,), x.dtype) if beta is None else beta
    return _rows_norm(x, gamma, beta, features, epsilon)


def _rows_norm(x, gamma, beta, features, epsilon):
    """Normalizes each `features` successive values of x; gamma and beta are as long as one such run, or as several."""
    import tensorflow as tf

    width = gamma.shape[0]

    def mean(v):
        return tf.reduce_mean(v, axis=-1, keepdims=True)

    fused = takes_any_kernel()  # asked here, as nothing is recorded within normalize

    def mean_square(v):
        if fused:
            return tf.square(tf.math.reduce_euclidean_norm(v, axis=-1, keepdims=True)) / features
        return mean(tf.square(v))

    def shaped(v, length):
        return v if len(v.shape) == 2 and v.shape[-1] == length else tf.reshape(v, (-1, length))

    @tf.custom_gradient
    def normalize(x, gamma, beta):
        rows = shaped(x, features)
        centred = rows - mean(rows)
        centred = centred - mean(centred)  # what rounding the first mean left over
        inv = tf.math.rsqrt(mean_square(centred) + epsilon)
        normalized = centred * inv
        x_hat = shaped(normalized, width)
        y = x_hat * gamma + beta

        def gradient(upstream):
            dy = shaped(upstream, width)
            dy_x = dy * x_hat
            g, g_x = shaped(dy * gamma, features), shaped(dy_x * gamma, features)
            dx = (g - (normalized * mean(g_x) + mean(g))) * inv
            # Measured: the gradient of bias_add sums rows several times faster than reduce_sum.
            sums = (tf.raw_ops.BiasAddGrad(out_backprop=v) for v in (dy_x, dy))
            return like_x(dx), *sums

        return like_x(y), gradient

    def like_x(v):
        return v if len(x.shape) == 2 and x.shape[-1] == v.shape[-1] else tf.reshape(v, tf.shape(x))

    return normalize(x, gamma, beta)
