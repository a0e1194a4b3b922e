"""Pooling, convolution and resizing in forms for a file, where converters have none or a wrong one.

max_pool, average_pool   of volumes, for TFLite: each slice is pooled as an image, then the slices of each pixel; the
                         count of numbers in a window is the product of both counts, so padded averages agree too
adaptive_..._pool        windows equally long and far apart, as of a size that the count divides: one pooling. Others as
                         Keras does it, axis by axis: two poolings, of which places are taken
conv                     of volumes in groups: each group by itself. Keras compiles it for XLA, and converters lose the
                         groups. Of rows and volumes channels first, for TFLite: between two transposes. Of volumes
                         dilated, for TFLite: the operation that TensorFlow itself cannot run
conv_transpose           channels first: between two transposes. Dilated, for TFLite: a convolution
add                      of a bias to rows or volumes channels first: Keras makes a BiasAdd of it, at which TFLite's
                         converter fails. Where there are as many columns as channels, Keras adds the bias along the
                         columns, even of images, and ONNX's converter along the channels
resize                   bicubic or Lanczos, to fixed sizes: a sum of rows, then of columns, with the weights that
                         TensorFlow gives to one pixel of 1 among zeros
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

Operation = Callable[..., Any]
_FIRST, _LAST = "channels_first", "channels_last"


def pool_volume(original: Operation) -> Operation:
    def call(
        inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
    ) -> Any:
        if len(inputs.shape) != 5 or inputs.shape[1 if _is_first(data_format) else 4] is None:
            return original(inputs, pool_size, strides, padding, data_format)
        y = _channels_last(inputs, data_format)
        depth, *plane = _each(pool_size, 3)
        step, *steps = _each(pool_size if strides is None else strides, 3)
        if max(*plane, *steps) > 1:
            _, slices, height, width, channels = ops.shape(y)
            y = original(ops.reshape(y, (-1, height, width, channels)), plane, steps, padding, _LAST)
            y = ops.reshape(y, (-1, slices, *ops.shape(y)[1:]))
        if max(depth, step) > 1:
            _, slices, height, width, channels = ops.shape(y)
            y = ops.reshape(y, (-1, slices, height * width, channels))
            y = original(y, (depth, 1), (step, 1), padding, _LAST)
            y = ops.reshape(y, (-1, ops.shape(y)[1], height, width, channels))
        return _as_given(y, data_format)

    return call


def adaptive_pool(pool: Operation) -> Callable[[Operation], Operation]:
    """By `pool`, ops.average_pool or ops.max_pool."""

    def form(original: Operation) -> Operation:
        def call(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
            x = _channels_last(inputs, data_format)
            if None in x.shape[1:]:
                return original(inputs, output_size, data_format)
            rank = len(x.shape) - 2
            windows = [_windows(n, count) for n, count in zip(x.shape[1:-1], _each(output_size, rank), strict=True)]
            even = [_size_and_step(*places) for places in windows]
            sizes, steps = zip(*(each or (1, 1) for each in even), strict=True)
            y = pool(x, sizes, steps, "valid", _LAST) if max(*sizes, *steps) > 1 else x
            for axis, (starts, lengths) in enumerate(windows):
                y = y if even[axis] else _pool_unevenly(y, axis, starts, lengths, pool)
            return _as_given(y, data_format)

        return call

    return form


def _windows(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `count` windows starts, and how long it is: from i n / count, rounded down, to the next, up."""
    i = np.arange(count)
    starts = i * length // count
    return starts, -(-(i + 1) * length // count) - starts


def _size_and_step(starts: np.ndarray, lengths: np.ndarray) -> tuple[int, int] | None:
    """If all windows are equally long and equally far apart: the length, and how far."""
    steps = set(np.diff(starts).tolist()) or {1}
    return (int(lengths[0]), steps.pop()) if len(set(lengths.tolist())) == len(steps) == 1 and 0 not in steps else None


def _pool_unevenly(x: Any, axis: int, starts: np.ndarray, lengths: np.ndarray, pool: Operation) -> Any:
    """Windows of each length at every place, of which those that are wanted are taken."""
    parts, first, places = [], 0, np.zeros_like(starts)
    for length in sorted(set(lengths.tolist())):
        size = [length if i == axis else 1 for i in range(len(x.shape) - 2)]
        parts.append(pool(x, size, 1, "valid", _LAST))
        places = np.where(lengths == length, first + starts, places)
        first += x.shape[axis + 1] - length + 1
    return ops.take(ops.concatenate(parts, axis + 1) if len(parts) > 1 else parts[0], places, axis + 1)


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
            if None in x.shape[1:3]:
                return original(images, size, interpolation, **named)
            for axis, after in enumerate(size, 1):
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
