"""Pooling, convolution and resizing in forms for a file, where converters have none or a wrong one.

max_pool, average_pool   of volumes, for TFLite: each slice is pooled as an image, then the slices of each pixel; the
                         count of numbers in a window is the product of both counts, so padded averages agree too
conv                     of volumes in groups: each group by itself. Keras compiles it for XLA, and converters lose the
                         groups. Of rows and volumes channels first, for TFLite: between two transposes. Of volumes
                         dilated, for TFLite: the operation that TensorFlow itself cannot run
conv_transpose           channels first: between two transposes. Dilated, for TFLite: a convolution
add                      of a bias to rows or volumes channels first: Keras makes a BiasAdd of it, at which TFLite's
                         converter fails. Where there are as many columns as channels, Keras adds the bias along the
                         columns, even of images, and ONNX's converter along the channels
resize                   bicubic or Lanczos, to fixed sizes: a sum of rows, then of columns, with the weights that
                         TensorFlow gives to one pixel of 1 among zeros. Bicubic of a free size too
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from .transposed_padding import rows_cut, tell_cut

Operation = Callable[..., Any]
_FIRST, _LAST = "channels_first", "channels_last"


def pool_volume(original: Operation) -> Operation:
    def call(
        inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
    ) -> Any:
        if len(inputs.shape) != 5 or None in inputs.shape[1:]:
            return original(inputs, pool_size, strides, padding, data_format)
        x = _channels_last(inputs, data_format)
        _, slices, height, width, channels = x.shape
        depth, *plane = _each(pool_size, 3)
        step, *steps = _each(pool_size if strides is None else strides, 3)
        y = original(ops.reshape(x, (-1, height, width, channels)), plane, steps, padding, _LAST)
        height, width = y.shape[1:3]
        y = original(ops.reshape(y, (-1, slices, height * width, channels)), (depth, 1), (step, 1), padding, _LAST)
        return _as_given(ops.reshape(y, (-1, y.shape[1], height, width, channels)), data_format)

    return call


def conv(for_tflite: bool) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(
            inputs: Any,
            kernel: Any,
            strides: Any = 1,
            padding: str = "valid",
            data_format: str | None = None,
            dilation_rate: Any = 1,
        ) -> Any:
            first, rank = _is_first(data_format), len(inputs.shape)
            groups = (inputs.shape[1 if first else -1] or 0) // kernel.shape[-2]
            dilated = rank == 5 and for_tflite and max(_each(dilation_rate, 3)) > 1
            if not dilated and not (rank == 5 and groups > 1) and not (rank != 4 and first and for_tflite):
                return original(inputs, kernel, strides, padding, data_format, dilation_rate)
            x, by_group = _channels_last(inputs, data_format), rank == 5 and groups > 1
            parts = ops.split(x, groups, axis=-1) if by_group else [x]
            kernels = ops.split(kernel, groups, axis=-1) if by_group else [kernel]
            one = _dilated_volume if dilated else original
            made = [
                one(part, weights, strides, padding, _LAST, dilation_rate)
                for part, weights in zip(parts, kernels, strict=True)
            ]
            return _as_given(ops.concatenate(made, axis=-1) if by_group else made[0], data_format)

        return call

    return form


def _dilated_volume(x: Any, kernel: Any, strides: Any, padding: str, _: str, dilation_rate: Any) -> Any:
    """TensorFlow regroups the volume, for its own kernel knows no dilation on a CPU; that of TFLite does."""
    steps, apart = ((1, *_each(size, 3), 1) for size in (strides, dilation_rate))
    weights = ops.convert_to_tensor(kernel)
    return tf.raw_ops.Conv3D(input=x, filter=weights, strides=steps, padding=padding.upper(), dilations=apart)


def conv_transpose(for_tflite: bool) -> Callable[[Operation], Operation]:
    def form(original: Operation) -> Operation:
        def call(
            inputs: Any,
            kernel: Any,
            strides: Any = 1,
            padding: str = "valid",
            output_padding: Any = None,
            data_format: str | None = None,
            dilation_rate: Any = 1,
        ) -> Any:
            x = _channels_last(inputs, data_format)
            rank = len(x.shape) - 2
            if for_tflite and max(_each(dilation_rate, rank)) > 1 == max(_each(strides, rank)):
                y = _as_convolution(x, kernel, padding, _each(dilation_rate, rank))
            else:
                y = original(x, kernel, strides, padding, output_padding, _LAST, dilation_rate)
                given = [None] * rank if output_padding is None else _each(output_padding, rank)
                axes = zip(kernel.shape, _each(strides, rank), given, _each(dilation_rate, rank), strict=False)
                tell_cut(y, [rows_cut(size, step, padding, added, apart) for size, step, added, apart in axes])
            return _as_given(y, data_format)

        return call

    return form


def _as_convolution(x: Any, kernel: Any, padding: str, apart: tuple[int, ...]) -> Any:
    """A transposed convolution in steps of one: a convolution of the padded input with the kernel turned around."""
    rank = len(apart)
    turned = ops.swapaxes(ops.flip(kernel, axis=tuple(range(rank))), -1, -2)
    around = [[0, 0]]
    for size, step in zip(kernel.shape, apart, strict=False):
        reach = (size - 1) * step
        cut = reach // 2 if padding == "same" else 0
        around.append([reach - cut, cut if padding == "same" else reach])
    return ops.conv(ops.pad(x, [*around, [0, 0]]), turned, 1, "valid", _LAST, apart)


def resize(*kinds: str) -> Callable[[Operation], Operation]:
    """As sums of rows and of columns, for these kinds of interpolation."""

    def form(original: Operation) -> Operation:
        def call(images: Any, size: Any, interpolation: str = "bilinear", *others: Any, **named: Any) -> Any:
            images, data_format = tf.convert_to_tensor(images), named.get("data_format")
            crops = named.get("crop_to_aspect_ratio") or named.get("pad_to_aspect_ratio")
            plain = not others and not crops and interpolation in kinds
            if not plain or images.shape.rank != 4 or images.dtype != tf.float32:
                return original(images, size, interpolation, *others, **named)
            x = _channels_last(images, data_format)
            cubic = interpolation == "bicubic" and not named.get("antialias")
            if (None in x.shape[1:3] and not cubic) or not all(isinstance(n, int) for n in size):
                return original(images, size, interpolation, **named)
            for axis, after in enumerate(size, 1):
                if x.shape[axis] is None:
                    x = _cubic(x, after, axis)
                    continue
                with tf.init_scope():  # numbers, while a graph is recorded
                    pixels = tf.eye(x.shape[axis])[:, :, None, None]
                    how = {**named, "data_format": _LAST}
                    weights = original(pixels, (after, 1), interpolation, **how)[:, :, 0, 0].numpy()
                x = _weighted(x, weights, axis)
            return _as_given(x, data_format)

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


def _cubic(x: Any, after: int, axis: int) -> Any:
    """A free number n of pixels to `after`: pixel j is at p = (j + 1/2) n / after - 1/2, between floor(p) and the next.

    With t = p - floor(p), rounded to 1024ths as TensorFlow does it (no ONNX operator does, which is off by 5e-4), its
    two neighbours on each side count k(1 + t), k(t), k(1 - t) and k(2 - t), those outside 0, divided by their sum:

        k(t) = (1.5 t - 2.5) t^2 + 1 up to 1,   ((-.5 t + 2.5) t - 4) t + 2 from there to 2
    """
    n = tf.shape(x)[axis]
    place = (np.arange(after, dtype=np.float32) + 0.5) * (tf.cast(n, tf.float32) / np.float32(after)) - 0.5
    left = tf.floor(place)
    t = tf.round((place - left) * 1024.0) * (1.0 / 1024.0)
    far = [((-0.5 * u + 2.5) * u - 4.0) * u + 2.0 for u in (1.0 + t, 2.0 - t)]
    near = [(1.5 * u - 2.5) * u * u + 1.0 for u in (t, 1.0 - t)]
    last = tf.cast(n - 1, tf.float32)
    pixels = [left + float(i) for i in (-1, 0, 1, 2)]
    inside = [tf.clip_by_value(pixel, 0.0, last) for pixel in pixels]
    counts = zip((far[0], *near, far[1]), pixels, inside, strict=True)
    weights = [w * tf.cast(tf.equal(pixel, held), tf.float32) for w, pixel, held in counts]
    total = functools.reduce(ops.add, weights)
    along = [-1 if i == axis else 1 for i in range(len(x.shape))]
    parts = [
        tf.gather(x, tf.cast(held, tf.int32), axis=axis) * tf.reshape(w / total, along)
        for held, w in zip(inside, weights, strict=True)
    ]
    return functools.reduce(ops.add, parts)


def add_channels_first(original: Operation) -> Operation:
    def call(x1: Any, x2: Any) -> Any:
        sizes, rank = tuple(getattr(x2, "shape", ())), len(getattr(x1, "shape", ()))
        bias = [n for n in sizes if n != 1]
        if rank < 3 or len(bias) != 1 or sizes[-1] == bias[0] or x1.dtype != x2.dtype:
            return original(x1, x2)
        if x1.shape[-1] == bias[0]:  # here Keras adds along the last axis, whichever the bias is for
            return tf.add(x1, ops.reshape(x2, (-1,)))
        if rank != 4 and x1.shape[1] == bias[0]:
            return tf.add(x1, ops.reshape(x2, (1, -1, *[1] * (rank - 2))))
        return original(x1, x2)

    return call


def _is_first(data_format: str | None) -> bool:
    return (data_format or keras.config.image_data_format()) == _FIRST


def _channels_last(x: Any, data_format: str | None) -> Any:
    return ops.moveaxis(x, 1, -1) if _is_first(data_format) else x


def _as_given(x: Any, data_format: str | None) -> Any:
    return ops.moveaxis(x, -1, 1) if _is_first(data_format) else x


def _each(size: Any, rank: int) -> tuple[int, ...]:
    return (size,) * rank if isinstance(size, int) else tuple(size)
