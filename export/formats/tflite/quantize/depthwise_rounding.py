"""Round the kernels of depthwise convolutions for the output they give: `rounding.py`, with moments of each channel.

A channel of a depthwise convolution has a kernel of its own, of 9 or 25 weights, and reads one channel alone, so

    H_c = X_c' X_c + damping,      X_c the patches of that channel,      w_c on its own grid

Rounded to the nearest step so few weights do not add up to what they did, and the shift is the same everywhere in the
channel: it is what costs MobileNets most in 8 bits. The bias takes up what is left of it, as in `rounding.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ....quantization.patches import Patches
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph
from .rounding import window_of

_ROWS = 2_048
_LARGEST_PATCH = 200  # taps of one channel


def depthwise_layers(graph: Graph) -> list[Any]:
    """The depthwise convolutions with constant kernels."""
    with logged("rounding"):
        return [op for op in graph.ops if graph.kind(op) == "DEPTHWISE_CONV_2D" and _can_be_rounded(graph, op)]


def _can_be_rounded(graph: Graph, op: Any) -> bool:
    taps = np.prod(graph.shape(int(op.inputs[1]))[1:3])
    if graph.constant(int(op.inputs[1])) is None:
        graph.skip(op, "its kernel is computed")
    elif taps > _LARGEST_PATCH:
        graph.skip(op, f"its patches have more than {_LARGEST_PATCH} numbers a channel")
    else:
        return True
    return False


class ChannelPatches(Patches):
    """The second moments of the patches of each channel: arrays of [channels, taps, taps] and [channels, taps]."""

    def __init__(self, graph: Graph, op: Any, examples: int) -> None:
        _, height, width, outputs = graph.shape(int(op.inputs[1]))
        self._channels, self._taps = graph.shape(int(op.inputs[0]))[-1], height * width
        self._times = outputs // self._channels
        super().__init__(self._taps * self._channels, window_of(graph, op).patches, examples)

    def _wanted(self) -> int:
        return _ROWS

    def _nothing(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((self._channels, self._taps, self._taps)), np.zeros((self._channels, self._taps))

    def _sum_up(self, rows: np.ndarray) -> None:
        by_channel = rows.reshape(len(rows), self._taps, -1).transpose(2, 0, 1)
        self._sums += by_channel.transpose(0, 2, 1) @ by_channel
        self._total += by_channel.sum(axis=1, dtype=np.float64)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of x_i x_j and of x_i for each channel of the output."""
        squares, means = super().moments()
        return np.repeat(squares, self._times, axis=0), np.repeat(means, self._times, axis=0)


def round_depthwise(graph: Graph, op: Any, patches: ChannelPatches) -> None:
    """Replace the kernel by values on its grid, and correct the bias by the change of the mean output."""
    kernel = graph.constant(int(op.inputs[1]))
    w = kernel.reshape(-1, kernel.shape[-1]).T.astype(np.float64)
    moments, mean = patches.moments()
    q = _rounded(w, moments)
    name = graph.name(int(op.outputs[0])).split(";")[0]
    inputs = [int(i) for i in op.inputs]
    inputs[1] = graph.add_constant(q.T.reshape(kernel.shape), f"{name}/rounded_kernel")
    bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
    if bias is not None:
        inputs[2] = graph.add_constant(bias + np.sum((w - q) * mean, axis=1), f"{name}/corrected_bias")
    op.inputs = np.array(inputs, np.int32)


def _rounded(w: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """`rounding._rounded` with moments of each row of `w`."""
    channels, taps = w.shape
    scale = np.abs(w).max(axis=1) / 127
    scale[scale == 0] = 1.0
    diagonals = np.diagonal(moments, axis1=1, axis2=2)
    order = np.argsort(-diagonals, axis=1, kind="stable")
    rows = np.arange(channels)[:, None]
    damping = np.maximum(1e-12, 0.01 * diagonals.mean(axis=1))
    damped = moments[rows[..., None], order[:, :, None], order[:, None, :]] + damping[:, None, None] * np.eye(taps)
    upper = np.linalg.cholesky(damped[:, ::-1, ::-1])[:, ::-1, ::-1]
    weighs = upper / np.diagonal(upper, axis1=1, axis2=2)[:, None, :]
    sorted_w, q = w[rows, order], np.empty_like(w)
    # The largest weight stays at the end of the grid, where the quantizer will find the same scale again.
    held = np.abs(sorted_w).argmax(axis=1)
    for i in range(taps):
        errors = sorted_w[:, :i] - q[:, :i]
        aim = sorted_w[:, i] + np.einsum("cj,cj->c", errors, weighs[:, :i, i])
        steps = np.clip(np.round(aim / scale), -127, 127)
        q[:, i] = np.where(held == i, sorted_w[:, i], steps * scale)
    result = np.empty_like(q)
    result[rows, order] = q
    return result
