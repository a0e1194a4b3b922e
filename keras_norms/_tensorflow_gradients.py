"""Gradient functions on TensorFlow: how a fast one is differentiated again."""

from __future__ import annotations

from collections.abc import Callable
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


def unrecorded() -> AbstractContextManager[Any]:
    """For what has a gradient function of its own. A tape that is recorded by another would have TensorFlow trace the
    derivatives of every branch in it at once, to no use: seconds for each layer."""
    try:
        from tensorflow.python.eager.record import stop_recording
    except ImportError:
        return nullcontext()
    return stop_recording()
