"""Projective transforms of images, known beforehand, of images of a known size: neither format has the operation.

    x' = (a0 x + a1 y + a2) / k,  y' = (a3 x + a4 y + a5) / k,  k = a6 x + a7 y + 1

A pixel of the result is one pixel of the source, or the sum of the four around (x', y'), at places and with weights
that are numbers by now; what lies outside is filled, mirrored, or the nearest of the border.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .channel_layout import as_given, channels_last

Operation = Callable[..., Any]


def affine(original: Operation) -> Operation:
    def call(
        images: Any,
        transform: Any,
        interpolation: str = "bilinear",
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> Any:
        given = tf.convert_to_tensor(images)
        known = tf.get_static_value(transform) if tf.is_tensor(transform) else np.asarray(transform)
        x = channels_last(given if given.shape.rank == 4 else given[None], data_format)
        one = known is not None and known.size == 8
        covered = given.dtype == tf.float32 and None not in x.shape[1:] and fill_mode != "wrap"
        if known is None or not one or not covered:
            return original(images, transform, interpolation, fill_mode, fill_value, data_format)
        y = _moved(x, np.reshape(known, 8).astype(np.float32), interpolation, fill_mode, np.float32(fill_value))
        y = as_given(y, data_format)
        return y if given.shape.rank == 4 else y[0]

    return call


def perspective(original: Operation) -> Operation:
    def call(
        images: Any,
        start_points: Any,
        end_points: Any,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        data_format: str | None = None,
    ) -> Any:
        from keras.src.backend.tensorflow import image

        points = [tf.get_static_value(p) if tf.is_tensor(p) else p for p in (start_points, end_points)]
        if any(p is None or np.size(p) != 8 for p in points):
            return original(images, start_points, end_points, interpolation, fill_value, data_format)
        with tf.init_scope():
            pairs = [tf.constant(np.reshape(p, (1, 4, 2)), tf.float32) for p in points]
            transform = image.compute_homography_matrix(*pairs).numpy()
        how = {"interpolation": interpolation, "fill_value": fill_value, "data_format": data_format}
        return image.affine_transform(images, transform, **how)

    return call


def _moved(x: Any, a: np.ndarray, interpolation: str, fill_mode: str, fill: np.float32) -> Any:
    height, width, channels = x.shape[1:]
    row, column = np.mgrid[:height, :width].astype(np.float32)
    scale = a[6] * column + a[7] * row + np.float32(1)
    outside = scale == 0
    scale = np.where(outside, np.float32(1), scale)
    across = _mapped((a[0] * column + a[1] * row + a[2]) / scale, width, fill_mode)
    down = _mapped((a[3] * column + a[4] * row + a[5]) / scale, height, fill_mode)
    flat = tf.reshape(x, [-1 if x.shape[0] is None else x.shape[0], height * width, channels])
    total = None
    for i, j, weight in _places(down, across, interpolation):
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width) & ~outside
        place = np.where(inside, i * width + j, 0).astype(np.int32).reshape(-1)
        there = tf.where(inside.reshape(1, -1, 1), tf.gather(flat, place, axis=1), fill)
        part = there * weight.astype(np.float32).reshape(1, -1, 1)
        total = part if total is None else total + part
    return tf.reshape(total, [-1 if x.shape[0] is None else x.shape[0], height, width, channels])


def _places(down: np.ndarray, across: np.ndarray, interpolation: str) -> list[tuple[np.ndarray, ...]]:
    """Rows, columns and weights of the pixels that each pixel of the result takes."""
    if interpolation == "nearest":
        nearest = [np.sign(n) * np.floor(np.abs(n) + np.float32(0.5)) for n in (down, across)]
        return [(*nearest, np.ones_like(down))]
    top, left = np.floor(down), np.floor(across)
    below, beside = down - top, across - left
    return [
        (top, left, (1 - below) * (1 - beside)),
        (top, left + 1, (1 - below) * beside),
        (top + 1, left, below * (1 - beside)),
        (top + 1, left + 1, below * beside),
    ]


def _mapped(at: np.ndarray, size: int, fill_mode: str) -> np.ndarray:
    """Where the image goes on outside of itself, the place within it."""
    if fill_mode == "nearest":
        return np.asarray(np.clip(at, 0, size - 1))
    if fill_mode == "reflect" and size > 1:
        around = np.mod(at, 2 * size)
        return np.asarray(np.clip(np.where(around >= size, 2 * size - around - 1, around), 0, size - 1))
    return at
