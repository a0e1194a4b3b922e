"""Weights of resizing along an axis of free length n to m pixels, computed in the graph: [m, n], rows of sum 1.

A pixel i of the result lies at (i + 1/2) n / m of the source, and takes from the source pixel j, whose middle is at
j + 1/2, by a curve of their distance: k((j + 1/2 - (i + 1/2) n / m) / s). The width s is 1, and n / m where a smaller
image is antialiased. Area takes the overlap of [i n / m, (i + 1) n / m] with [j, j + 1].
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf


def free_weights(n: Any, m: Any, interpolation: str, antialias: bool) -> Any:
    """Weights for `n` and `m`, integers or tensors of one."""
    ratio = tf.cast(n, tf.float32) / tf.cast(m, tf.float32)
    if interpolation == "area":
        start = tf.range(m, dtype=tf.float32)[:, None] * ratio
        end = (tf.range(m, dtype=tf.float32)[:, None] + 1.0) * ratio
        at = tf.range(n, dtype=tf.float32)[None, :]
        return tf.nn.relu(tf.minimum(at + 1.0, end) - tf.maximum(at, start)) / ratio
    ratio = 1.0 / (tf.cast(m, tf.float32) / tf.cast(n, tf.float32))  # rounded as TensorFlow's
    width = tf.maximum(ratio, 1.0) if antialias else 1.0
    middle = (tf.range(m, dtype=tf.float32)[:, None] + 0.5) * ratio
    distance = tf.abs(tf.range(n, dtype=tf.float32)[None, :] + 0.5 - middle) / width
    weights = _CURVES[interpolation](distance)
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def _triangle(t: Any) -> Any:
    return tf.nn.relu(1.0 - t)


def _cubic(t: Any) -> Any:
    return tf.where(t < 1.0, near(t), tf.where(t < 2.0, far(t), 0.0))


def _lanczos(radius: float, t: Any) -> Any:
    far = tf.maximum(t, 1e-3)
    curve = radius * _sine(far) * _sine(far / radius) / (math.pi * far) ** 2
    return tf.where(t <= 1e-3, 1.0, tf.where(t <= radius, curve, 0.0))


def _sine(t: Any) -> Any:
    """sin(pi t), exact where it is small: the angle is that to the next integer."""
    whole = tf.round(t)
    odd = whole - 2.0 * tf.floor(whole / 2.0)
    return (1.0 - 2.0 * odd) * tf.sin(math.pi * (t - whole))


_CURVES: dict[str, Callable[[Any], Any]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": functools.partial(_lanczos, 3.0),
    "lanczos5": functools.partial(_lanczos, 5.0),
}


def near(t: Any) -> Any:
    """The cubic curve between a pixel and its neighbours."""
    return (1.5 * t - 2.5) * t * t + 1


def far(t: Any) -> Any:
    """The cubic curve one pixel further out."""
    return ((-0.5 * t + 2.5) * t - 4) * t + 2
