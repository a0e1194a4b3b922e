"""Gradient functions on TensorFlow: how a fast one is differentiated again, by the plain one that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from keras_norms._types import Tensor

Gradients = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def derived_as(plain: Gradients, fast: Gradients, x: Tensor, scale: Tensor) -> Callable[..., Any]:
    """The gradient function that computes fast(dy, x, scale), and is differentiated as plain(dy, x, scale).

    Both give the gradients of x, scale and offset; `plain` in single operations, whose derivatives of every order and
    in forward mode TensorFlow has. Those of `fast` may be wrong, as a kernel's run out of numbers if a tf.cond round
    it is transposed, and nested branches take seconds to trace.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def backward(dy: Tensor, x: Tensor, scale: Tensor) -> Any:
        def gradient_of_gradient(*upstream: Tensor) -> Any:
            inputs = [tf.identity(v) for v in (dy, x, scale)]
            # A tape would record nothing where a tf.autodiff.ForwardAccumulator is active.
            if not tf.executing_eagerly():
                return tf.gradients(plain(inputs[0], inputs[1], inputs[2]), inputs, grad_ys=list(upstream))
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = plain(inputs[0], inputs[1], inputs[2])
            return tape.gradient(outputs, inputs, output_gradients=upstream)

        with unrecorded():
            return fast(dy, x, scale), gradient_of_gradient

    # Identities belong to the graph of the gradient, of which TensorFlow makes the next derivative.
    return lambda dy, *_: backward(dy, tf.identity(x), tf.identity(scale))


def in_single_operations(
    dy: Tensor, x: Tensor, gamma: Tensor, axes: Sequence[int], epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x, gamma and beta of a norm with means over `axes` of x; gamma has the shape of x's last axes.

    Its equations stand in _tensorflow_sample.py.
    """
    import tensorflow as tf

    def mean_of(v: Tensor) -> Tensor:
        return tf.reduce_mean(v, axis=axes, keepdims=True)

    centred = x - mean_of(x)
    centred = centred - mean_of(centred)  # removes the rounding error of the first mean
    inv = tf.math.rsqrt(mean_of(tf.square(centred)) + epsilon)
    x_hat = centred * inv
    g = dy * gamma
    dx = (g - mean_of(g) - x_hat * mean_of(g * x_hat)) * inv
    leading = range(len(x.shape) - len(gamma.shape))
    return dx, tf.reduce_sum(dy * x_hat, axis=leading), tf.reduce_sum(dy, axis=leading)


def unrecorded() -> AbstractContextManager[Any]:
    """For code that has a gradient function of its own.

    Where one tape runs within another, TensorFlow traces the derivatives of every branch as soon as it meets it: here
    to no use, and for seconds a layer.
    """
    try:
        from tensorflow.python.eager.record import stop_recording
    except ImportError:
        return nullcontext()
    stopped: AbstractContextManager[Any] = stop_recording()
    return stopped
