"""Tests for infinities, and for numbers that are none, as comparisons with the largest number there is.

isinf |x| >= max, isposinf x >= max, isneginf x <= -max, isfinite |x| < max. TensorFlow's converter writes the first as
|x| = max, which no infinity is, and the next two as x = inf. LiteRT's own kernels clip sums, products and quotients to
the largest number, XNNPACK's do not: that number stands for an infinity too.
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
