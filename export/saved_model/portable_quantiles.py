"""Quantiles at places known beforehand: along axes of known sizes the numbers that count stand at constant places.

Keras computes the places in float64 from the shape, and of a free batch TFLite's converter leaves that to the file.

    at = (n - 1) q        of n sorted numbers; between two of them their line, or the method's choice of one
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Operation = Callable[..., Any]


def percentile(original: Operation) -> Operation:
    def call(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
        from keras.src.backend.tensorflow import numpy

        known = _known(q)
        if known is None:
            return original(x, q, axis=axis, method=method, keepdims=keepdims)
        share = known.astype(np.float32) / np.float32(100)
        return numpy.quantile(x, share, axis=axis, method=method, keepdims=keepdims)

    return call


def quantile(original: Operation) -> Operation:
    def call(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Any:
        x, known = tf.convert_to_tensor(x), _known(q)
        rank = x.shape.rank
        given = range(rank) if axis is None else (axis if isinstance(axis, (list, tuple)) else [axis])
        axes = sorted(i % rank for i in given) if rank else []
        sizes = list(x.shape)
        others = [i for i in range(rank) if i not in axes]
        free = [sizes[i] for i in others].count(None)
        covered = x.dtype == tf.float32 and axes
        if (
            known is None
            or known.ndim > 1
            or not covered
            or None in [sizes[i] for i in axes]
            or (free > 1 and len(axes) > 1)
        ):
            return original(x, q, axis=axis, method=method, keepdims=keepdims)
        count = int(np.prod([sizes[i] for i in axes]))
        rows = tf.transpose(x, others + axes)
        if len(axes) > 1:
            rows = tf.reshape(rows, [-1 if sizes[i] is None else sizes[i] for i in others] + [count])
        found = _at(tf.sort(rows, axis=-1), (count - 1) * known.astype(np.float64), count, method)
        broken = tf.reduce_any(tf.math.is_nan(rows), axis=-1)
        found = tf.where(broken[..., None] if known.ndim else broken, np.float32("nan"), found)
        if known.ndim:
            found = tf.transpose(found, [len(others), *range(len(others))])
        for i in axes if keepdims else ():
            found = tf.expand_dims(found, i + known.ndim)
        return found

    return call


def _at(ordered: Any, at: np.ndarray, count: int, method: str) -> Any:
    def pick(places: np.ndarray) -> Any:
        return tf.gather(ordered, np.clip(places, 0, count - 1).astype(np.int32), axis=-1)

    if method == "linear":
        below = np.maximum(np.ceil(at) - 1, 0)
        above = np.minimum(below + 1, count - 1)
        share = (above - at).astype(np.float32)
        return pick(above) * (1.0 - share) + pick(below) * share
    if method == "midpoint":
        return 0.5 * (pick(np.floor(at)) + pick(np.ceil(at)))
    rounded: dict[str, Operation] = {"lower": np.floor, "higher": np.ceil, "nearest": np.round}
    return pick(rounded[method](at))


def _known(q: Any) -> np.ndarray | None:
    value = tf.get_static_value(q) if tf.is_tensor(q) else q
    return None if value is None else np.asarray(value)
