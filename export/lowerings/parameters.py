"""Weights of a layer as constants of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops


def float64(weight: Any) -> np.ndarray:
    """The values of a Keras variable, wide enough to combine without loss."""
    return np.array(ops.convert_to_numpy(weight), np.float64)


def broadcast(values: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """Values a channel, shaped to broadcast along `axis` of a tensor of `rank`, in float32."""
    shape = [1] * rank
    shape[axis] = -1
    return values.reshape(shape).astype(np.float32)
