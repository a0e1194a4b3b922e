"""Colors as hue, saturation and value, and back.

h = (g - b) / (6 (v - m)) where r = v is the largest and m the least, 2 / 6 + (b - r) / ... for g, 4 / 6 + ... for b
s = (v - m) / v
r, g, b = v (1 - s + s c)        with c = |6 h - 3| - 1, 2 - |6 h - 2|, 2 - |6 h - 4|, each from 0 to 1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from .channel_layout import is_first

Operation = Callable[..., Any]


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
