"""Group and instance normalization as ONNX has it: the groups in one dimension, channels second.

    x  -> [N, G, all elements of a group],   c = x - mean(x),   c / sqrt(mean(c^2) + epsilon)   -> as before
    y  = ... * gamma + beta                                                                       a channel

`formats/onnx/passes/norm_forms.py` makes one operator of the second step. The means are taken over a group directly:
nothing of one group meets another, so a NaN or an infinity stays in its group. The transposes at both ends meet those
around convolutions, and go with them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from .parameters import broadcast


def normalize(x: Any, axis: int, groups: int, epsilon: float, gamma: np.ndarray | None, beta: np.ndarray | None) -> Any:
    """`x`, of rank 2 or more, normalized over each of `groups` groups of the channels along `axis`."""
    moved = axis != 1
    x = ops.moveaxis(x, axis, 1) if moved else x
    free = None in x.shape[1:]
    shape = ops.shape(x) if free else (-1, *x.shape[1:])
    elements = -1 if free else math.prod(x.shape[1:]) // groups
    flat = ops.reshape(x, (shape[0], groups, elements))
    centred = flat - ops.mean(flat, axis=-1, keepdims=True)
    inverse = ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + epsilon)
    y = ops.reshape(centred * inverse, shape)
    if gamma is not None:
        y = y * broadcast(gamma, 1, x.ndim)
    if beta is not None:
        y = y + broadcast(beta, 1, x.ndim)
    return ops.moveaxis(y, 1, axis) if moved else y
