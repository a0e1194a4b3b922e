"""Searches, products so far and choices, in operations that both formats have.

in_top_k          whether fewer than k predictions are above the target's, which is there and finite
searchsorted      how many of the sequence are below (left), or not above (right)
nonzero           columns of the places
cumprod           a product after the other, up to 256 of them
switch            all branches, and a choice
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

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
