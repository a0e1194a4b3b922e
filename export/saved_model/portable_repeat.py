"""Repeating along an axis, in a form for TFLite whose shape is known where that of the input is.

TensorFlow's own computes its shape at run time, and the converter then knows no channels of what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

Operation = Callable[..., Any]


def repeat(original: Operation) -> Operation:
    """Copies beside each other along the next axis, and then one shape for both: [n, m] -> [n, r m] -> [r n, m]."""

    def call(x: Any, repeats: Any, axis: int | None = None) -> Any:
        x = tf.convert_to_tensor(x)
        if axis is None or not isinstance(repeats, int) or repeats < 1 or not x.shape.rank:
            return original(x, repeats, axis=axis)
        axis %= x.shape.rank
        known = x.shape.as_list()
        free = known.count(None) > 1
        sizes = [(tf.shape(x)[i] if free else -1) if n is None else n for i, n in enumerate(known)]
        sizes[axis] = -1 if known[axis] is None and not free else sizes[axis] * repeats
        last = axis == x.shape.rank - 1
        return tf.reshape(tf.concat([x[..., None] if last else x] * repeats, axis + 1), sizes)

    return call
