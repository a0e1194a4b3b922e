"""Bitwise operations on 32-bit integers of those that TFLite has.

a and b = (a + b - (a xor b)) / 2        of the 16 upper and the 16 lower bits by themselves
a or b = (a xor b) + (a and b),  not a = a xor -1,  a << b = a 2^b
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Operation = Callable[..., Any]


def _both(x: Any, y: Any) -> tuple[Any, Any] | None:
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    return (x, y) if x.dtype == y.dtype == tf.int32 else None


def _and(x: Any, y: Any) -> Any:
    upper = [tf.math.floordiv(n, 65536) for n in (x, y)]
    lower = [n - 65536 * m for n, m in zip((x, y), upper, strict=True)]
    high, low = ((a + b - tf.bitwise.bitwise_xor(a, b)) // 2 for a, b in (upper, lower))
    return 65536 * high + low


def bitwise_and(original: Operation) -> Operation:
    def call(x: Any, y: Any) -> Any:
        both = _both(x, y)
        return original(x, y) if both is None else _and(*both)

    return call


def bitwise_or(original: Operation) -> Operation:
    def call(x: Any, y: Any) -> Any:
        both = _both(x, y)
        return original(x, y) if both is None else tf.bitwise.bitwise_xor(*both) + _and(*both)

    return call


def bitwise_invert(original: Operation) -> Operation:
    def call(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        return tf.bitwise.bitwise_xor(x, tf.fill(tf.shape(x), -1)) if x.dtype == tf.int32 else original(x)

    return call


def bitwise_left_shift(original: Operation) -> Operation:
    def call(x: Any, y: Any) -> Any:
        both = _both(x, y)
        return original(x, y) if both is None else both[0] * tf.pow(tf.fill(tf.shape(both[1]), 2), both[1])

    return call
