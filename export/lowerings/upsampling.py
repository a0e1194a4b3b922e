"""Nearest-neighbour upsampling as one resize: of rows and columns repeated, converters make reshapes and tiles.

Keras resizes to sizes known beforehand. Where they are free, each pixel is repeated beside its channels, and each row
beside its columns, which regrouped are the repeated pixels and rows:

    [N, H, W, C] -> [N, H, W, f C] -> [N, H, f W, C]         then the same for [N, H, W, C] as [N, H, W C]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops


def lower(layer: Any, channels_first: bool = False) -> Callable[[Any], Any] | None:
    if layer.interpolation != "nearest" or layer.data_format != "channels_last":
        return None

    def call(inputs: Any) -> Any:
        free = None in inputs.shape[1:3]
        if free and channels_first:
            return type(layer).call(layer, inputs)
        if free:
            return _repeated(inputs, *layer.size)
        height, width = inputs.shape[1:3]
        size = (height * layer.size[0], width * layer.size[1])
        return ops.image.resize(inputs, size, interpolation="nearest", data_format="channels_last")

    return call


def _repeated(x: Any, rows: int, columns: int) -> Any:
    batch, height, width, channels = ops.shape(x)
    wide = ops.reshape(ops.concatenate([x] * columns, axis=3), (batch, height, width * columns, channels))
    return ops.reshape(ops.concatenate([wide] * rows, axis=2), (batch, height * rows, width * columns, channels))
