"""Batch statistics for TensorFlow, by its fused kernel where that is exact enough, else with an own gradient.

g    = gamma * dy                     x_hat = (x - mean) * inv
dx   = inv * (g - mean(g) - x_hat * mean(g * x_hat))       means over what shares a mean
dgamma = sum(dy * x_hat)              dbeta = sum(dy)
"""

from keras_norms._tensorflow import compiled_by_xla

# cuDNN takes no smaller epsilon, and TensorFlow silently raises it.
_SMALLEST_FUSED_EPSILON = 1.001e-5
# The kernel rounds to about 1e-6 of the mean, which the gradient of gamma shows many times over: with 100,000 positions
# it is wrong by 1e-2 at a mean of 15. Beyond this many standard deviations from zero the kernel gets a centred input.
_FAR_FROM_ZERO = 4.0


def batch_norm(x, gamma, beta, epsilon, correct=None):
    """Training batch norm of x, channels last: y, and the mean and the biased variance over all axes but the last.

    correct(mean, variance) gives batch renormalization's (r, d), constants of the gradient.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    statistics_dtype = x.dtype if x.dtype == tf.float64 else tf.float32
    gamma = tf.ones((channels,), statistics_dtype) if gamma is None else gamma
    beta = tf.zeros((channels,), statistics_dtype) if beta is None else beta
    fused = x.dtype != tf.float64 and epsilon >= _SMALLEST_FUSED_EPSILON and not compiled_by_xla()
    if fused:
        images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
        y, mean, variance = _fused_batch_norm(images, gamma, beta, epsilon, correct)
    else:
        rows = tf.cast(tf.reshape(x, (-1, channels)), statistics_dtype)
        y, mean, variance = _own_batch_norm(rows, gamma, beta, epsilon, correct)
    y = y if fused and len(x.shape) == 4 else tf.reshape(y, tf.shape(x))
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


def _fused_batch_norm(images, gamma, beta, epsilon, correct):
    """By the kernel: on images - pivot in place of images where the kernel would round too much of the images away."""
    import tensorflow as tf

    nothing = tf.zeros((0,))

    def kernel(images, scale, offset):
        return tuple(
            tf.raw_ops.FusedBatchNormV3(
                x=images, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
            )
        )

    def kernel_inference(images, scale, offset, mean, variance):
        return tf.raw_ops.FusedBatchNormV3(
            x=images, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
        ).y

    def kernel_gradient(dy, images, scale, reserved):
        names = ("reserve_space_1", "reserve_space_2", "reserve_space_3")
        back = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy,
            x=images,
            scale=scale,
            epsilon=epsilon,
            is_training=True,
            **dict(zip(names, reserved, strict=True)),
        )
        return back.x_backprop, back.scale_backprop, back.offset_backprop

    def run(images, scale, offset):
        y, mean, variance, *reserved = kernel(images, scale, offset)
        far = tf.reduce_any(tf.square(mean) > _FAR_FROM_ZERO**2 * (variance + epsilon))
        # Rounded as the images are: the kernel's mean of what is left completes it.
        pivot = tf.where(far, tf.cast(mean, images.dtype), tf.zeros((), images.dtype))
        outputs = (y, mean, variance, *reserved)
        outputs = tf.cond(far, lambda: kernel(images - pivot, scale, offset), lambda: outputs)
        return outputs, far, pivot

    def gradient_of(images, scale, reserved, far, pivot):
        def gradient(dy, *_):
            return tf.cond(
                far,
                lambda: kernel_gradient(dy, images - pivot, scale, reserved),
                lambda: kernel_gradient(dy, images, scale, reserved),
            )

        return gradient

    if correct is None:

        @tf.custom_gradient
        def normalize(images, scale, offset):
            (y, mean, variance, *reserved), far, pivot = run(images, scale, offset)
            mean = tf.cast(pivot, mean.dtype) + mean
            return (y, mean, variance), gradient_of(images, scale, reserved, far, pivot)

        y, mean, variance = normalize(images, gamma, beta)
        return y, mean, _biased(variance, images)

    outputs, far, pivot = run(tf.stop_gradient(images), tf.ones_like(gamma), tf.zeros_like(gamma))
    # The kernel's own output goes unused: its memory is free again, and warm, by the time y needs as much.
    _, residue, variance, *reserved = outputs
    variance = _biased(variance, images)
    mean = tf.cast(pivot, residue.dtype) + residue
    r, d = correct(mean, variance)

    @tf.custom_gradient
    def renormalize(images, scale, offset):
        y = tf.cond(
            far,
            lambda: kernel_inference(images - pivot, scale, offset, residue, variance),
            lambda: kernel_inference(images, scale, offset, residue, variance),
        )
        return y, gradient_of(images, scale, reserved, far, pivot)

    return renormalize(images, gamma * r, beta + gamma * d), mean, variance


def _biased(variance, images):
    """The kernel divides by n - 1, and by 1 where n is 1."""
    import tensorflow as tf

    if images.shape[:3].is_fully_defined():
        n = images.shape[:3].num_elements()
        return variance * ((max(n, 2) - 1) / max(n, 2))
    n = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), variance.dtype)
    n = tf.maximum(n, 2.0)
    return variance * ((n - 1.0) / n)


def _own_batch_norm(rows, gamma, beta, epsilon, correct):
    import tensorflow as tf

    count = tf.cast(tf.maximum(tf.shape(rows)[0], 1), rows.dtype)

    def mean_of(v):
        # Measured: the gradient of bias_add sums rows several times faster than reduce_sum.
        return tf.raw_ops.BiasAddGrad(out_backprop=v) / count

    # Any row will do for a pivot. There is none in an empty batch.
    pivot = tf.reduce_sum(rows[:1], axis=0)
    # Rounded, this is only near the mean; what is left over completes it, and is small, so that the variance below does
    # not cancel. Measured: XLA takes both means of what is left in one loop.
    near = pivot + mean_of(rows - pivot)
    left = rows - near
    rest = mean_of(left)
    variance = tf.maximum(mean_of(tf.square(left)) - tf.square(rest), 0.0)
    mean = near + rest
    centred = left - rest
    if correct is not None:
        r, d = correct(mean, variance)
        gamma, beta = gamma * r, beta + gamma * d

    @tf.custom_gradient
    def normalize(rows, gamma, beta):
        inv = tf.math.rsqrt(variance + epsilon)
        scale = gamma * inv

        def gradient(dy):
            mean_dy = mean_of(dy)
            mean_dy_x = mean_of(dy * centred) * inv
            dx = scale * (dy - (centred * (mean_dy_x * inv) + mean_dy))
            return dx, mean_dy_x * count, mean_dy * count

        return centred * scale + beta, gradient

    return normalize(rows, gamma, beta), mean, variance
