"""Arithmetic of integers whose shape is known in part, for which Keras on TensorFlow needs all of it.

gcd             Euclid's: (a, b) becomes (b, a mod b) until every b is 0; lcm divides by it
unravel_index   without Keras' last reshape to the shape that the indices have anyway
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

Operation = Callable[..., Any]


def gcd(original: Operation) -> Operation:
    def call(x1: Any, x2: Any) -> Any:
        a, b = tf.convert_to_tensor(x1), tf.convert_to_tensor(x2)
        known = a.shape.is_fully_defined() and b.shape.is_fully_defined()
        if known or not a.dtype.is_integer or a.dtype.is_unsigned or a.dtype != b.dtype:
            return original(x1, x2)
        a, b = tf.abs(a) + tf.zeros_like(b), tf.abs(b) + tf.zeros_like(a)

        def step(a: Any, b: Any) -> tuple[Any, Any]:
            done = tf.equal(b, 0)
            rest = tf.math.floormod(a, tf.where(done, tf.ones_like(b), b))
            return tf.where(done, a, b), tf.where(done, tf.zeros_like(b), rest)

        return tf.while_loop(lambda _, b: tf.reduce_any(tf.not_equal(b, 0)), step, [a, b])[0]

    return call


def unravel_index(original: Operation) -> Operation:
    def call(indices: Any, shape: Sequence[int | None]) -> Any:
        left = tf.convert_to_tensor(indices)
        if None in shape or left.shape.rank in (None, 1) or left.shape.is_fully_defined():
            return original(indices, shape)
        found = []
        for size in shape:  # in Keras' order for more than one dimension, which is not that of one
            found.append(left % size)
            left = left // size
        return tuple(reversed(found))

    return call
