"""Resizing in forms for a file: TFLite has no bicubic one, neither format a Lanczos one.

To a fixed size it is a sum of rows, then of columns, with the weights that TensorFlow gives to one pixel of 1 among
zeros. Bicubic from free sizes: with weights that the file computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from .channel_layout import LAST, as_given, channels_last

Operation = Callable[..., Any]


def resize(*kinds: str) -> Callable[[Operation], Operation]:
    """As sums of rows and of columns, for these kinds of interpolation."""

    def form(original: Operation) -> Operation:
        def call(images: Any, size: Any, interpolation: str = "bilinear", *others: Any, **named: Any) -> Any:
            images, data_format = tf.convert_to_tensor(images), named.get("data_format")
            crops = named.get("crop_to_aspect_ratio") or named.get("pad_to_aspect_ratio")
            plain = not others and not crops and interpolation in kinds
            if not plain or images.shape.rank != 4 or images.dtype != tf.float32:
                return original(images, size, interpolation, *others, **named)
            x = channels_last(images, data_format)
            if None in x.shape[1:3] and (interpolation != "bicubic" or named.get("antialias")):
                return original(images, size, interpolation, **named)
            for axis, after in enumerate(size, 1):
                if x.shape[axis] is None:
                    x = _cubic(x, axis, after)
                    continue
                with tf.init_scope():  # numbers, while a graph is recorded
                    pixels = tf.eye(x.shape[axis])[:, :, None, None]
                    how = {**named, "data_format": LAST}
                    weights = original(pixels, (after, 1), interpolation, **how)[:, :, 0, 0].numpy()
                x = _weighted(x, weights, axis)
            return as_given(x, data_format)

        return call

    return form


def _weighted(x: Any, weights: np.ndarray, axis: int) -> Any:
    """The sum over i of weights[i, j] x[i] along an axis, of those i alone whose weight is not zero.

    A product of matrices would make NaN of an infinity everywhere.
    """
    used = weights != 0
    count = int(used.sum(axis=0).max())
    # Those in use first; where they are fewer than elsewhere, the first is taken again, with the weight 0.
    order = np.argsort(~used, axis=0, kind="stable")[:count]
    taken = np.take_along_axis(used, order, axis=0)
    order = np.where(taken, order, order[:1])
    factors = np.where(taken, np.take_along_axis(weights, order, axis=0), 0.0)
    along = [-1 if i == axis else 1 for i in range(len(x.shape))]
    parts = [
        ops.take(x, i.astype("int32"), axis=axis) * ops.reshape(w, along) for i, w in zip(order, factors, strict=True)
    ]
    return functools.reduce(ops.add, parts)


def _cubic(x: Any, axis: int, count: int) -> Any:
    """Bicubic interpolation along an axis of a free length, at `count` places: four neighbours of each, weighted.

    As TensorFlow does it: distances rounded to a 1024th, no weight outside of the image, and weights of sum 1.
    """
    n = tf.cast(tf.shape(x)[axis], tf.float32)
    at = (np.arange(count) + 0.5).astype(np.float32) * (n / count) - 0.5
    below = tf.floor(at)
    t = tf.round((at - below) * 1024) / 1024
    parts, weights = [], []
    for step, curve, distance in ((-1, _far, 1 + t), (0, _near, t), (1, _near, 1 - t), (2, _far, 2 - t)):
        place = tf.clip_by_value(below + step, 0.0, n - 1)
        weights.append(curve(distance) * tf.cast(tf.equal(place, below + step), tf.float32))
        parts.append(tf.gather(x, tf.cast(place, tf.int32), axis=axis))
    total = tf.add_n(weights)
    along = [-1 if i == axis else 1 for i in range(len(x.shape))]
    return functools.reduce(
        tf.add, [part * tf.reshape(w / total, along) for part, w in zip(parts, weights, strict=True)]
    )


def _near(t: Any) -> Any:
    return (1.5 * t - 2.5) * t * t + 1


def _far(t: Any) -> Any:
    return ((-0.5 * t + 2.5) * t - 4) * t + 2
