"""PReLU of volumes, for TFLite, whose operation takes at most four dimensions (the converter fails at a fifth).

    y = max(x, 0) + alpha * min(x, 0)

Two neighbouring axes along which alpha is constant, or along which it has a number for each place, become one between
two reshapes, and the operation serves: [N, D, H, W, C] and alpha [1, 1, 1, C] -> [N, D H, W, C] and [1, 1, C]. Without
such axes it is the sum as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

_MOST_AXES = 4


def lower(layer: Any, channels_first: bool = False) -> Callable[[Any], Any] | None:
    alpha = ops.convert_to_numpy(layer.alpha)
    if channels_first or alpha.ndim < _MOST_AXES:
        return None

    def call(inputs: Any) -> Any:
        merged = _merge(tuple(inputs.shape), alpha)
        if merged is None:
            return ops.maximum(inputs, 0.0) + alpha * ops.minimum(inputs, 0.0)
        sizes, weights = merged
        x = ops.reshape(inputs, sizes)
        y = ops.relu(x) + -weights * ops.relu(-x)
        return ops.reshape(y, [-1 if n is None else n for n in inputs.shape])

    return call


def _merge(shape: tuple[int | None, ...], alpha: np.ndarray) -> tuple[list[int], np.ndarray] | None:
    """The sizes of x, and alpha, in four dimensions; None without a pair of axes to merge, or a constant shape."""
    along = (1, *alpha.shape)
    if shape.count(None) > 1 or len(shape) != _MOST_AXES + 1:
        return None
    for i in range(_MOST_AXES):
        if (along[i] == 1) == (along[i + 1] == 1):
            pair = shape[i : i + 2]
            merged = -1 if None in pair else int(np.prod(pair))  # type: ignore[arg-type]
            weights = (*along[:i], along[i] * along[i + 1], *along[i + 2 :])
            rest = [-1 if n is None else n for n in shape]
            return [*rest[:i], merged, *rest[i + 2 :]], alpha.reshape(weights[1:])
    return None
