"""Round kernels to 8 bits so that the layer's output, not each weight, comes out closest.

To the nearest step, the errors of the weights add up at random. Inputs of a layer are correlated, so what one weight
loses can be given to those that are not rounded yet. With X the patches of the calibration data (a row each) and
H = X'X + damping, minimize |X (w - q)|^2 over q on the grid, column after column:

    U = upper Cholesky factor of H^-1
    e_i = (w_i - q_i) / U_ii,   w_j -= e_i U_ij   for every j after i
    b  += mean of X w - mean of X q

(Frantar et al., GPTQ, arXiv 2210.17323.) The largest weight of an output channel is held at the end of the grid, where
the quantizer will find the same scale again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .tflite_graph import Graph

_LARGEST_PATCH = 2_400  # above it the Cholesky factor takes seconds
_ROWS = 8_192
_DAMPING = 0.01
_BLOCK = 64
_LAYERS = ("CONV_2D", "FULLY_CONNECTED")


class Patches:
    """The second moments of what a layer multiplies its kernel with, gathered batch by batch."""

    def __init__(self, graph: Graph, op: Any, examples: int) -> None:
        self._op, self._kernel = op, graph.shape(int(op.inputs[1]))
        self._dense = graph.kind(op) == "FULLY_CONNECTED"
        self.size = int(np.prod(self._kernel[1:]))
        self._per_batch = max(1, -(-max(_ROWS, 2 * self.size) // max(1, examples)))
        self._rng = np.random.default_rng(0)
        self.moments, self.total, self.count = np.zeros((self.size, self.size)), np.zeros(self.size), 0

    def add(self, x: np.ndarray) -> None:
        rows = x.reshape(-1, self.size) if self._dense else self._windows(x)
        self.moments += rows.T @ rows
        self.total += rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)

    def _windows(self, x: np.ndarray) -> np.ndarray:
        """Patches at random positions of the output, all of them where there are few."""
        options, (_, height, width, _) = self._op.builtinOptions, self._kernel
        starts = [
            _starts(size, kernel, stride, dilation, options.padding == 0)
            for size, kernel, stride, dilation in (
                (x.shape[1], height, options.strideH, options.dilationHFactor),
                (x.shape[2], width, options.strideW, options.dilationWFactor),
            )
        ]
        places = x.shape[0] * len(starts[0]) * len(starts[1])
        chosen = np.arange(places) if places <= self._per_batch else self._rng.choice(places, self._per_batch, False)
        n, i, j = np.unravel_index(chosen, (x.shape[0], len(starts[0]), len(starts[1])))
        rows = starts[0][i][:, None] + options.dilationHFactor * np.arange(height)
        columns = starts[1][j][:, None] + options.dilationWFactor * np.arange(width)
        inside = ((rows >= 0) & (rows < x.shape[1]))[:, :, None] & ((columns >= 0) & (columns < x.shape[2]))[:, None, :]
        patches = x[
            n[:, None, None],
            rows.clip(0, x.shape[1] - 1)[:, :, None],
            columns.clip(0, x.shape[2] - 1)[:, None, :],
        ]
        return (patches * inside[..., None]).reshape(len(chosen), self.size)


def _starts(size: int, kernel: int, stride: int, dilation: int, same: bool) -> np.ndarray:
    """Where the windows of a convolution begin along one axis."""
    reach = (kernel - 1) * dilation + 1
    if not same:
        return np.arange((size - reach) // stride + 1) * stride
    count = -(-size // stride)
    return np.arange(count) * stride - max(0, (count - 1) * stride + reach - size) // 2


def layers(graph: Graph) -> list[Any]:
    """The operators whose kernels are rounded this way: dense and ungrouped convolutions of moderate patches."""
    found = []
    for op in graph.ops:
        if graph.kind(op) in _LAYERS and graph.constant(int(op.inputs[1])) is not None:
            kernel = graph.shape(int(op.inputs[1]))
            grouped = graph.kind(op) == "CONV_2D" and kernel[-1] != graph.shape(int(op.inputs[0]))[-1]
            if not grouped and np.prod(kernel[1:]) <= _LARGEST_PATCH:
                found.append(op)
    return found


def round_kernel(graph: Graph, op: Any, patches: Patches) -> None:
    """Replace the kernel by values on its grid, and let the bias make up for what the mean output loses."""
    kernel = graph.constant(int(op.inputs[1]))
    w = kernel.reshape(len(kernel), -1).astype(np.float64)
    q = _rounded(w, patches.moments / max(1, patches.count))
    name = graph.name(int(op.outputs[0])).split(";")[0]
    inputs = [int(i) for i in op.inputs]
    inputs[1] = graph.add_constant(q.reshape(kernel.shape), f"{name}/rounded_kernel")
    bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
    if bias is not None and patches.count:
        inputs[2] = graph.add_constant(bias + (w - q) @ (patches.total / patches.count), f"{name}/corrected_bias")
    op.inputs = np.array(inputs, np.int32)


def _rounded(w: np.ndarray, moments: np.ndarray) -> np.ndarray:
    scale = np.abs(w).max(axis=1) / 127
    scale[scale == 0] = 1.0
    held = np.abs(w).argmax(axis=1)
    order = np.argsort(-np.diag(moments), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    end, held = np.sign(w[np.arange(len(w)), held]) * 127, place[held]
    damping = max(1e-12, _DAMPING * float(np.mean(np.diag(moments))))
    damped = moments[np.ix_(order, order)] + damping * np.eye(len(order))
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    w, q = w[:, order].copy(), np.empty_like(w)
    for first in range(0, w.shape[1], _BLOCK):
        last = min(first + _BLOCK, w.shape[1])
        errors = np.empty((len(w), last - first))
        for i in range(first, last):
            steps = np.clip(np.round(w[:, i] / scale), -127, 127)
            steps[held == i] = end[held == i]
            q[:, i] = steps * scale
            errors[:, i - first] = (w[:, i] - q[:, i]) / upper[i, i]
            w[:, i:last] -= np.outer(errors[:, i - first], upper[i, i:last])
        w[:, last:] -= errors @ upper[first:last, last:]
    return q[:, place]
