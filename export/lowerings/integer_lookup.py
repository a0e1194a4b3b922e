"""A lookup of integers as arithmetic: TensorFlow's hash tables are in no file.

    y = default + sum_i [x = key_i] (value_i - default)         up to 256 keys
    y = table[x] where 0 <= x < n, the default elsewhere        keys from 0 to 1,048,575

Masks, tokens out of the vocabulary and one-hot rows are computed as the layer does; the inverse lookup has indices for
keys. Other keys stay refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from ..model.keras_graph import default_of_lookup

_FEW, _LARGEST = 256, 2**20


class _Arithmetic:
    """What stands for the table of a layer."""

    def __init__(self, keys: np.ndarray, values: np.ndarray, default: int) -> None:
        self._keys, self._values, self._default = keys, values, default

    def lookup(self, x: Any) -> Any:
        if len(self._keys) <= _FEW:
            equal = ops.equal(ops.expand_dims(x, -1), self._keys)
            above = ops.where(equal, self._values - self._default, np.int64(0))
            return ops.sum(above, axis=-1) + np.int64(self._default)
        table = np.full(int(self._keys.max()) + 1, self._default, np.int64)
        table[self._keys] = self._values
        found = ops.take(table, ops.cast(ops.clip(x, 0, len(table) - 1), "int32"), axis=0)
        inside = ops.logical_and(ops.greater_equal(x, 0), ops.less(x, len(table)))
        return ops.where(inside, found, np.int64(self._default))


def lower(layer: Any, channels_first: bool = False) -> Callable[[Any], Any] | None:
    table = layer.lookup_table
    if layer.sparse or not hasattr(table, "export"):
        return None
    keys, values = (np.asarray(part).astype(np.int64) for part in table.export())
    if not len(keys) or (len(keys) > _FEW and not 0 <= keys.min() <= keys.max() <= _LARGEST):
        return None
    arithmetic = _Arithmetic(keys, values, int(default_of_lookup(layer)))

    def call(inputs: Any) -> Any:
        layer.lookup_table = arithmetic
        try:
            return type(layer).call(layer, inputs)
        finally:
            layer.lookup_table = table

    return call
