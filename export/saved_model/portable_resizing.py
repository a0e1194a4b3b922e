"""Resizing in forms for a file: TFLite has no bicubic one, neither format an antialiased, an area or a Lanczos one.

To a fixed size it is a sum of rows, then of columns, with the weights that TensorFlow gives to one pixel of 1 among
zeros. From or to a free size the file computes the weights: four neighbours of each pixel in bicubic interpolation,
else a matrix (`resizing_weights`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from .aspect_ratio import cropped, padded
from .channel_layout import LAST, as_given, channels_last
from .resizing_weights import far, free_weights, near

Operation = Callable[..., Any]


def resize(original: Operation) -> Operation:
    """Keras' own where both formats have the operation, after what it does to the aspect ratio."""

    def call(
        images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False, *others: Any, **named: Any
    ) -> Any:
        given, data_format = tf.convert_to_tensor(images), named.get("data_format")
        crops, pads = named.get("crop_to_aspect_ratio"), named.get("pad_to_aspect_ratio")
        plain = interpolation == "nearest" or (interpolation == "bilinear" and not antialias)
        covered = (
            given.shape.rank in (3, 4) and given.dtype == tf.float32 and named.get("fill_mode") in (None, "constant")
        )
        if others or not covered or (plain and not crops and not pads):
            return original(given, size, interpolation, antialias, *others, **named)
        x = channels_last(given if given.shape.rank == 4 else given[None], data_format)
        if crops:
            x = cropped(x, size)
        elif pads:
            x = padded(x, size, named.get("fill_value", 0.0))
        if plain:
            x = original(x, size, interpolation, data_format=LAST)
        else:
            for axis, after in enumerate(size, 1):
                x = _along(original, x, axis, after, interpolation, antialias)
        y = as_given(x, data_format)
        return y if given.shape.rank == 4 else tf.squeeze(y, 0)

    return call


def to_free_size(original: Operation) -> Operation:
    """Keras compares a size with 0 in Python, which a size that is known at run time alone does not bear."""

    def call(images: Any, size: Any, **named: Any) -> Any:
        from keras.src.backend.tensorflow import image

        return (image.resize if any(tf.is_tensor(n) for n in size) else original)(images, size, **named)

    return call


def _along(original: Operation, x: Any, axis: int, after: Any, interpolation: str, antialias: bool) -> Any:
    before = x.shape[axis]
    if before is None or not isinstance(after, int):
        before = tf.shape(x)[axis]
        if interpolation == "bicubic" and not antialias:
            return _cubic(x, axis, before, after)
        return _product(free_weights(before, after, interpolation, antialias), x, axis)
    if interpolation == "area" and before % after == 0:
        sizes = [before // after if i == axis else 1 for i in (1, 2)]
        return tf.nn.avg_pool2d(x, sizes, sizes, "VALID")
    with tf.init_scope():  # numbers, while a graph is recorded
        pixels = tf.eye(before)[:, :, None, None]
        weights = original(pixels, (after, 1), interpolation, antialias, data_format=LAST)[:, :, 0, 0].numpy()
    return _weighted(x, weights, axis)


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


def _product(weights: Any, x: Any, axis: int) -> Any:
    """The sum over j of weights[i, j] x[j] along the rows or the columns of images, as a product of matrices."""
    if axis == 2:
        return tf.matmul(weights, x)
    return tf.transpose(tf.matmul(weights, tf.transpose(x, [0, 2, 1, 3])), [0, 2, 1, 3])


def _cubic(x: Any, axis: int, before: Any, count: Any) -> Any:
    """Bicubic interpolation along an axis of a free length, at `count` places: four neighbours of each, weighted.

    As TensorFlow does it: distances rounded to a 1024th, no weight outside of the image, and weights of sum 1.
    """
    n = tf.cast(before, tf.float32)
    at = (tf.range(count, dtype=tf.float32) + 0.5) * (n / tf.cast(count, tf.float32)) - 0.5
    below = tf.floor(at)
    t = tf.round((at - below) * 1024) / 1024
    parts, weights = [], []
    for step, curve, distance in ((-1, far, 1 + t), (0, near, t), (1, near, 1 - t), (2, far, 2 - t)):
        place = tf.clip_by_value(below + step, 0.0, n - 1)
        weights.append(curve(distance) * tf.cast(tf.equal(place, below + step), tf.float32))
        parts.append(tf.gather(x, tf.cast(place, tf.int32), axis=axis))
    total = tf.add_n(weights)
    along = [-1 if i == axis else 1 for i in range(len(x.shape))]
    return functools.reduce(
        tf.add, [part * tf.reshape(w / total, along) for part, w in zip(parts, weights, strict=True)]
    )
