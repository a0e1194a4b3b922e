"""Batch normalization in training on TensorFlow: its fused kernel where that is exact enough, else own code.

g    = gamma * dy                     x_hat = (x - mean) * inv
dx   = inv * (g - mean(g) - x_hat * mean(g * x_hat))       means over what shares a mean
dgamma = sum(dy * x_hat)              dbeta = sum(dy)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras_norms._tensorflow import compiled_by_xla
from keras_norms._tensorflow_gradients import derived_as, in_single_operations, unrecorded
from keras_norms._types import Correct, Tensor

# cuDNN takes no smaller epsilon, and TensorFlow silently raises it.
_SMALLEST_FUSED_EPSILON = 1.001e-5
# The kernel's error is about 1e-6 of the mean, and the gradient of gamma multiplies it: at 100,000 positions and a mean
# of 15 that gradient is wrong by 1e-2. If a mean is further than this many standard deviations from zero, the kernel
# gets a centred input.
_FAR_FROM_ZERO = 4.0


def batch_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, epsilon: float, correct: Correct | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Training batch norm of x, channels last: y, and the mean and the biased variance over all axes but the last.

    correct(mean, variance) gives batch renormalization's (r, d), constants of the gradient.
    """
    import tensorflow as tf

    channels = x.shape[-1]
    statistics_dtype = x.dtype if x.dtype == tf.float64 else tf.float32
    # As tensors: a derivative of a higher order must not find the variables of the layer within its gradient functions.
    gamma = tf.ones((channels,), statistics_dtype) if gamma is None else tf.convert_to_tensor(gamma)
    beta = tf.zeros((channels,), statistics_dtype) if beta is None else tf.convert_to_tensor(beta)
    fused = x.dtype != tf.float64 and epsilon >= _SMALLEST_FUSED_EPSILON and not compiled_by_xla()
    if fused:
        images = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
        if correct is None:
            y, mean, variance = _fused_batch_norm(images, gamma, beta, epsilon)
        else:
            y, mean, variance = _fused_batch_renorm(images, gamma, beta, epsilon, correct)
    else:
        rows = tf.cast(tf.reshape(x, (-1, channels)), statistics_dtype)
        y, mean, variance = _own_batch_norm(rows, gamma, beta, epsilon, correct)
    y = y if fused and len(x.shape) == 4 else tf.reshape(y, tf.shape(x))
    return y, tf.stop_gradient(mean), tf.stop_gradient(variance)


def _fused_batch_norm(images: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalization with the fused kernel: y, mean and biased variance."""
    import tensorflow as tf

    @tf.custom_gradient
    def normalize(images: Tensor, scale: Tensor, offset: Tensor) -> Any:
        with unrecorded():
            run = _run_kernel(images, scale, offset, epsilon)
            mean = tf.cast(run.pivot, run.residue.dtype) + run.residue
        return (run.y, mean, run.variance), _kernel_gradient(images, scale, run, epsilon)

    y, mean, variance = normalize(images, gamma, beta)
    return y, mean, _biased(variance, images)


def _fused_batch_renorm(
    images: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, correct: Correct
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch renormalization with two fused kernels: one for the statistics, which give r and d, and one for y."""
    import tensorflow as tf

    run = _run_kernel(tf.stop_gradient(images), tf.ones_like(gamma), tf.zeros_like(gamma), epsilon)
    # This y is not needed. Dropped now, its memory (already in the cache) can be used again for the second y.
    run = run._replace(y=None)
    variance = _biased(run.variance, images)
    mean = tf.cast(run.pivot, run.residue.dtype) + run.residue
    r, d = correct(mean, variance)

    def inference(images: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=scale,
            offset=offset,
            mean=run.residue,
            variance=variance,
            epsilon=epsilon,
            is_training=False,
        ).y

    @tf.custom_gradient
    def renormalize(images: Tensor, scale: Tensor, offset: Tensor) -> Any:
        with unrecorded():
            y = tf.cond(
                run.far,
                lambda: inference(images - run.pivot, scale, offset),
                lambda: inference(images, scale, offset),
            )
        return y, _kernel_gradient(images, scale, run, epsilon)

    return renormalize(images, gamma * r, beta + gamma * d), mean, variance


class _KernelRun(NamedTuple):
    """The outputs of the training kernel for images, or for images - pivot if they are far from zero."""

    y: Tensor
    residue: Tensor  # the mean of the kernel's input; pivot + residue is the mean of the images
    variance: Tensor  # the kernel divides by n - 1
    reserved: Sequence[Tensor]  # inputs of the kernel's gradient
    far: Tensor
    pivot: Tensor  # 0 if the images are near zero


def _run_kernel(images: Tensor, scale: Tensor, offset: Tensor, epsilon: float) -> _KernelRun:
    """Runs the kernel, and runs it again on centred images if they are too far from zero for it."""
    import tensorflow as tf

    nothing = tf.zeros((0,))

    def kernel(images: Tensor) -> tuple[Tensor, ...]:
        return tuple(
            tf.raw_ops.FusedBatchNormV3(
                x=images, scale=scale, offset=offset, mean=nothing, variance=nothing, epsilon=epsilon, is_training=True
            )
        )

    outputs = kernel(images)
    _, mean, variance, *_ = outputs
    far = tf.reduce_any(tf.square(mean) > _FAR_FROM_ZERO**2 * (variance + epsilon))
    # The pivot is rounded to the dtype of the images; the kernel's mean of images - pivot makes up for that.
    pivot = tf.where(far, tf.cast(mean, images.dtype), tf.zeros((), images.dtype))
    y, residue, variance, *reserved = tf.cond(far, lambda: kernel(images - pivot), lambda: outputs)
    return _KernelRun(y, residue, variance, reserved, far, pivot)


def _kernel_gradient(images: Tensor, scale: Tensor, run: _KernelRun, epsilon: float) -> Callable[..., Any]:
    """The gradient function: from dy to the gradients of images, scale and offset."""
    import tensorflow as tf

    reserved = dict(zip(("reserve_space_1", "reserve_space_2", "reserve_space_3"), run.reserved, strict=True))

    def kernel(dy: Tensor, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        back = tf.raw_ops.FusedBatchNormGradV3(
            y_backprop=dy, x=images, scale=scale, epsilon=epsilon, is_training=True, **reserved
        )
        return back.x_backprop, back.scale_backprop, back.offset_backprop

    def fast(dy: Tensor, images: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dx, dscale, doffset = tf.cond(run.far, lambda: kernel(dy, images - run.pivot), lambda: kernel(dy, images))
        return dx, dscale, doffset

    def plain(dy: Tensor, images: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        upstream, x = (tf.cast(v, scale.dtype) for v in (dy, images))
        dx, dscale, doffset = in_single_operations(upstream, x, scale, (0, 1, 2), epsilon)
        return tf.cast(dx, images.dtype), dscale, doffset

    return derived_as(plain, fast, images, scale)


def _biased(variance: Tensor, images: Tensor) -> Tensor:
    """The biased variance from that of the kernel, which divides by n - 1, or by 1 if n is 1."""
    import tensorflow as tf

    if images.shape[:3].is_fully_defined():
        n = images.shape[:3].num_elements()
        return variance * ((max(n, 2) - 1) / max(n, 2))
    n = tf.cast(tf.reduce_prod(tf.shape(images)[:3]), variance.dtype)
    n = tf.maximum(n, 2.0)
    return variance * ((n - 1.0) / n)


def _own_batch_norm(
    rows: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, correct: Correct | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch (re)normalization without the kernel: y, and the mean and biased variance of each column of rows."""
    import tensorflow as tf

    count = tf.cast(tf.maximum(tf.shape(rows)[0], 1), rows.dtype)

    def mean_of(v: Tensor) -> Tensor:
        # Measured: the gradient of bias_add sums rows several times faster than reduce_sum.
        return tf.raw_ops.BiasAddGrad(out_backprop=v) / count

    # Any row can be the pivot. The sum is 0 for an empty batch, which has no row.
    pivot = tf.reduce_sum(rows[:1], axis=0)
    # `near` is the mean up to rounding, `rest` is what it lacks. As `rest` is small, the subtraction in the variance
    # below loses no digits. Measured: XLA computes both means over `left` in one loop.
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
    def normalize(_rows: Tensor, gamma: Tensor, beta: Tensor) -> Any:
        inv = tf.math.rsqrt(variance + epsilon)
        scale = gamma * inv

        def gradient(dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean_dy = mean_of(dy)
            mean_dy_x = mean_of(dy * centred) * inv
            dx = scale * (dy - (centred * (mean_dy_x * inv) + mean_dy))
            return dx, mean_dy_x * count, mean_dy * count

        return centred * scale + beta, gradient

    return normalize(rows, gamma, beta), mean, variance
