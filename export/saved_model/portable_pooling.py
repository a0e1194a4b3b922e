"""Pooling in forms for a file, where converters have none or a longer one.

max_pool, average_pool   of volumes, for TFLite: each slice is pooled as an image, then the slices of each pixel; the
                         count of numbers in a window is the product of both counts, so padded averages agree too
adaptive_..._pool        windows equally long and far apart, as of a size that the count divides: one pooling. Others as
                         Keras does it, axis by axis: two poolings, of which places are taken
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from .channel_layout import LAST, as_given, channels_last, each, is_first

Operation = Callable[..., Any]


def pool_volume(original: Operation) -> Operation:
    def call(
        inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None
    ) -> Any:
        if len(inputs.shape) != 5 or inputs.shape[1 if is_first(data_format) else 4] is None:
            return original(inputs, pool_size, strides, padding, data_format)
        y = channels_last(inputs, data_format)
        depth, *plane = each(pool_size, 3)
        step, *steps = each(pool_size if strides is None else strides, 3)
        if max(*plane, *steps) > 1:
            _, slices, height, width, channels = ops.shape(y)
            y = original(ops.reshape(y, (-1, height, width, channels)), plane, steps, padding, LAST)
            y = ops.reshape(y, (-1, slices, *ops.shape(y)[1:]))
        if max(depth, step) > 1:
            _, slices, height, width, channels = ops.shape(y)
            y = ops.reshape(y, (-1, slices, height * width, channels))
            y = original(y, (depth, 1), (step, 1), padding, LAST)
            y = ops.reshape(y, (-1, ops.shape(y)[1], height, width, channels))
        return as_given(y, data_format)

    return call


def adaptive_pool(pool: Operation) -> Callable[[Operation], Operation]:
    """By `pool`, ops.average_pool or ops.max_pool."""

    def form(original: Operation) -> Operation:
        def call(inputs: Any, output_size: Any, data_format: str | None = None) -> Any:
            x = channels_last(inputs, data_format)
            if None in x.shape[1:]:
                return original(inputs, output_size, data_format)
            rank = len(x.shape) - 2
            windows = [_windows(n, count) for n, count in zip(x.shape[1:-1], each(output_size, rank), strict=True)]
            even = [_size_and_step(*places) for places in windows]
            sizes, steps = zip(*(how or (1, 1) for how in even), strict=True)
            y = pool(x, sizes, steps, "valid", LAST) if max(*sizes, *steps) > 1 else x
            for axis, (starts, lengths) in enumerate(windows):
                y = y if even[axis] else _pool_unevenly(y, axis, starts, lengths, pool)
            return as_given(y, data_format)

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
        parts.append(pool(x, size, 1, "valid", LAST))
        places = np.where(lengths == length, first + starts, places)
        first += x.shape[axis + 1] - length + 1
    return ops.take(ops.concatenate(parts, axis + 1) if len(parts) > 1 else parts[0], places, axis + 1)
