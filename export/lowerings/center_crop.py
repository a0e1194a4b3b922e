"""The middle of images of free sizes: cut out of those that are large enough, enlarged from those that are not.

Keras asks which while it records the graph, where a free size is no number, and takes every image for large enough. In
a file both ways stand in a branch, and its result has a fixed size, which what follows may count on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def lower(layer: Any, _channels_first: bool = False) -> Callable[..., Any] | None:
    wanted = layer.height, layer.width
    axis = 2 if layer.data_format == "channels_first" else 1

    def call(inputs: Any, training: bool = True) -> Any:
        known = tuple(getattr(inputs, "shape", ()))[axis : axis + 2]
        small = any(n is not None and n < size for n, size in zip(known, wanted, strict=False))
        if len(getattr(inputs, "shape", ())) != 4 or None not in known or small:
            return type(layer).call(layer, inputs, training=training)
        x = ops.cast(inputs, layer.compute_dtype)
        sizes = ops.shape(x)[axis : axis + 2]

        def cut() -> Any:
            start, shape = [0] * 4, [-1, *x.shape[1:]]
            start[axis : axis + 2] = [(n - size) // 2 for n, size in zip(sizes, wanted, strict=True)]
            shape[axis : axis + 2] = wanted
            return ops.slice(x, start, shape)

        def enlarge() -> Any:
            return keras.preprocessing.image.smart_resize(x, wanted, data_format=layer.data_format)

        return ops.cond(ops.logical_and(*(n >= size for n, size in zip(sizes, wanted, strict=True))), cut, enlarge)

    return call
