"""The weights of CuDNNLSTM and CuDNNGRU in the layout of LSTM and GRU, by the rules of Keras 2 itself.

cuDNN holds the kernel of each gate as rows of outputs, and two biases, of the inputs and of the state; an LSTM adds
the two up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_GATES = {"LSTMCell": 4, "GRUCell": 3}


def of_cudnn(layer: Any, shapes: list[tuple[int, ...]]) -> bool:
    """Whether weights of these shapes, stored for a cell, are those of cuDNN: their bias is twice as long, and flat."""
    gates = _GATES.get(type(layer).__name__)
    return gates is not None and len(shapes) == 3 and shapes[2] == (2 * gates * shapes[1][0],)


def as_of_cell(layer: Any, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Kernel, recurrent kernel and bias as the cell has them."""
    gates = _GATES[type(layer).__name__]
    kernel, recurrent, bias = weights
    both = bias.reshape(2, -1)
    return [
        _each(kernel, gates, lambda part: part.T.reshape(part.shape, order="F")),
        _each(recurrent, gates, lambda part: part.T),
        both.sum(axis=0) if gates == _GATES["LSTMCell"] else both,
    ]


def _each(kernel: np.ndarray, gates: int, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.hstack([change(part) for part in np.hsplit(kernel, gates)])
