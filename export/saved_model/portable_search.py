"""Searches, bits and colors in operations that both formats have.

in_top_k          whether fewer than k predictions are above the target's, which is finite
searchsorted      how many of the sequence are below (left), or not above (right)
nonzero           columns of the places
cumprod           a product after the other, up to 256 of them
switch            all branches, and a choice
bitwise and, or   a and b = (a + b - (a xor b)) / 2, of the 16 upper and the 16 lower bits by themselves;
                  a or b = (a xor b) + (a and b); not a = a xor -1; a << b = a 2^b
rgb_to_hsv        hue from the largest channel, in sixths of a turn; saturation = range / largest
hsv_to_rgb        v (1 - s + s clip(|6 h - k| ...)) for each channel
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .channel_layout import is_first

Operation = Callable[..., Any]
_MOST = 256


def in_top_k(_: Operation) -> Operation:
    def call(targets: Any, predictions: Any, k: int) -> Any:
        predictions, rows = tf.convert_to_tensor(predictions), tf.cast(targets, tf.int32)[:, None]
        own = tf.equal(tf.range(tf.shape(predictions)[1])[None, :], rows)
        chosen = tf.reduce_sum(tf.where(own, predictions, 0.0), -1)
        above = tf.reduce_sum(tf.cast(predictions > chosen[:, None], tf.int32), -1)
        there = tf.logical_and(tf.reduce_any(own, -1), tf.abs(chosen) < np.float32(np.inf))
        return tf.logical_and(above < k, there)

    return call


def searchsorted(original: Operation) -> Operation:
    def call(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
        sequence, x = tf.convert_to_tensor(sorted_sequence), tf.convert_to_tensor(values)
        if sequence.shape.rank != 1 or not sequence.shape[0] or sequence.shape[0] > _MOST or sequence.dtype != x.dtype:
            return original(sorted_sequence, values, side)
        found = sequence < x[..., None] if side == "left" else sequence <= x[..., None]
        return tf.reduce_sum(tf.cast(found, tf.int32), -1)

    return call


def nonzero(_: Operation) -> Operation:
    def call(x: Any) -> Any:
        x = tf.convert_to_tensor(x)
        places = tf.cast(tf.where(tf.cast(x, tf.bool)), tf.int32)
        return [places[:, i] for i in range(x.shape.rank)]

    return call


def cumprod(original: Operation) -> Operation:
    def call(x: Any, axis: int | None = None, dtype: Any = None) -> Any:
        x = tf.convert_to_tensor(x)
        count = None if axis is None else x.shape[axis]
        if dtype is not None or not count or count > _MOST or not x.dtype.is_floating:
            return original(x, axis, dtype)
        made: list[Any] = []
        for part in tf.unstack(x, axis=axis):
            made.append(made[-1] * part if made else part)
        return tf.stack(made, axis=axis)

    return call


def switch(original: Operation) -> Operation:
    def call(index: Any, branches: Any, *operands: Any) -> Any:
        made = [branch(*operands) for branch in branches]
        if any(not tf.is_tensor(y) or y.shape != made[0].shape for y in made):
            return original(index, branches, *operands)
        y = made[-1]
        for i in reversed(range(len(made) - 1)):
            y = tf.where(tf.cast(index, tf.int32) <= i, made[i], y)
        return y

    return call


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


def _colors(original: Operation, turn: Callable[[Any, Any, Any], list[Any]]) -> Operation:
    def call(images: Any, data_format: str | None = None) -> Any:
        images = tf.convert_to_tensor(images)
        if images.dtype != tf.float32:
            return original(images, data_format)
        axis = -3 if is_first(data_format) else -1
        return tf.stack(turn(*tf.unstack(images, 3, axis=axis)), axis=axis)

    return call


def rgb_to_hsv(original: Operation) -> Operation:
    def turn(r: Any, g: Any, b: Any) -> list[Any]:
        value, least = tf.maximum(r, tf.maximum(g, b)), tf.minimum(r, tf.minimum(g, b))
        spread = value - least
        unit = 1.0 / (6.0 * tf.where(spread > 0.0, spread, 1.0))
        hue = tf.where(
            tf.equal(r, value),
            (g - b) * unit,
            tf.where(tf.equal(g, value), (b - r) * unit + 2.0 / 6.0, (r - g) * unit + 4.0 / 6.0),
        )
        hue = tf.where(spread > 0.0, tf.where(hue < 0.0, hue + 1.0, hue), 0.0)
        saturation = tf.where(value > 0.0, spread / tf.where(value > 0.0, value, 1.0), 0.0)
        return [hue, saturation, value]

    return _colors(original, turn)


def hsv_to_rgb(original: Operation) -> Operation:
    def turn(hue: Any, saturation: Any, value: Any) -> list[Any]:
        h = 6.0 * hue
        parts = (tf.abs(h - 3.0) - 1.0, 2.0 - tf.abs(h - 2.0), 2.0 - tf.abs(h - 4.0))
        return [value * (1.0 - saturation + saturation * tf.clip_by_value(part, 0.0, 1.0)) for part in parts]

    return _colors(original, turn)
