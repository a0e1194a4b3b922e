"""Tests for infinities, and for numbers that are none, as comparisons with the largest number there is.

isinf |x| >= max, isposinf x >= max, isneginf x <= -max, isfinite |x| < max. TensorFlow's converter writes the first as
|x| = max, which no infinity is, and the next two as x = inf. LiteRT's own kernels clip sums, products and quotients to
the largest number, XNNPACK's do not: that number stands for an infinity too. nan_to_num makes its choices by these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Operation = Callable[..., Any]


def _of_floats(test: Operation) -> Operation:
    """A form of an operation that leaves integers and truth values, which are never infinite, to Keras."""

    def form(original: Operation) -> Operation:
        def call(x: Any) -> Any:
            x = tf.convert_to_tensor(x)
            if not x.dtype.is_floating:
                return original(x)
            most = tf.constant(x.dtype.max, tf.float32 if x.dtype.size == 2 else x.dtype)  # TFLite compares no halves
            return test(tf.cast(x, most.dtype), most)

        return call

    return form


isinf = _of_floats(lambda x, most: tf.abs(x) >= most)
isposinf = _of_floats(lambda x, most: x >= most)
isneginf = _of_floats(lambda x, most: x <= -most)
isfinite = _of_floats(lambda x, most: tf.abs(x) < most)


def nan_to_num(original: Operation) -> Operation:
    def call(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
        x = tf.convert_to_tensor(x)
        if not x.dtype.is_floating:
            return original(x, nan, posinf, neginf)
        above, below = isposinf(original)(x), isneginf(original)(x)
        x = tf.where(tf.math.is_nan(x), tf.constant(nan, x.dtype), x)
        x = tf.where(above, tf.constant(x.dtype.max if posinf is None else posinf, x.dtype), x)
        return tf.where(below, tf.constant(x.dtype.min if neginf is None else neginf, x.dtype), x)

    return call
