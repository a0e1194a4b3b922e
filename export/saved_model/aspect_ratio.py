"""Images cut or padded to the shape of a size, about their middle, before they are resized to it: Keras' arithmetic.

Where height and width are known all of it is numbers. Keras computes them in the graph, with a branch for each side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf


def cropped(x: Any, size: tuple[int, int]) -> Any:
    """The largest middle part of images, [N, H, W, C], that has the shape of `size`."""
    height, width = _sizes(x)
    rows = _between(1, _floor(width * size[0], size[1]), height)
    columns = _between(1, _floor(height * size[1], size[0]), width)
    top, left = _floor(height - rows, 2), _floor(width - columns, 2)
    return x[:, top : top + rows, left : left + columns]


def padded(x: Any, size: tuple[int, int], fill: float) -> Any:
    """Images, [N, H, W, C], with `fill` on both sides of the axis that is too short for the shape of `size`."""
    height, width = _sizes(x)
    above = _floor(_most(height, _floor(width * size[0], size[1])) - height, 2)
    beside = _floor(_most(width, _floor(height * size[1], size[0])) - width, 2)
    return tf.pad(x, [[0, 0], [above, above], [beside, beside], [0, 0]], constant_values=fill)


def _sizes(x: Any) -> Any:
    known = x.shape[1:3]
    return (known[0], known[1]) if None not in known else tf.unstack(tf.shape(x)[1:3])


def _floor(a: Any, b: int) -> Any:
    if isinstance(a, int):
        return int(np.float32(a) / np.float32(b))
    return tf.cast(tf.cast(a, tf.float32) / b, tf.int32)


def _most(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) else tf.maximum(a, b)


def _between(least: int, x: Any, most: Any) -> Any:
    return max(min(most, x), least) if isinstance(x, int) else tf.maximum(tf.minimum(most, x), least)
