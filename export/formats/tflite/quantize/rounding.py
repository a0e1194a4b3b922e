"""Round kernels to 8 bits so that the error of the layer's output, not that of each weight, is least.

If each weight is rounded to the nearest step, the errors add up at random. The inputs of a layer are correlated, so the
weights that are not rounded yet can make up for what one weight loses. With X the patches of the calibration data (a
row each) and H = X'X + damping, minimize |X (w - q)|^2 over q on the grid, column after column:

    H = R R', R upper triangular, so |X (w - q)|^2 = sum over i of (sum over j <= i of (w_j - q_j) R_ji)^2
    q_i = w_i + sum over j < i of (w_j - q_j) R_ji / R_ii, on the grid
    b  += mean of X w - mean of X q

(Frantar et al., GPTQ, arXiv 2210.17323, in the form of Chee et al., arXiv 2307.13304, which inverts nothing.) The
largest weight of an output channel is held at the end of the grid, where the quantizer will find the same scale again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rewrite_log import logged
from ..flatbuffer_graph import Graph

_LARGEST_PATCH = 2_400  # the Cholesky factor of a larger patch takes seconds
_ROWS = 8_192
_DAMPING = 0.01
_BLOCK = 64
_ROWS_AT_ONCE = 1_024
_LAYERS = ("CONV_2D", "FULLY_CONNECTED")


class Patches:
    """The second moments of the patches that a layer multiplies its kernel with, gathered batch by batch."""

    def __init__(self, graph: Graph, op: Any, examples: int) -> None:
        self._op, self._kernel = op, graph.shape(int(op.inputs[1]))
        self._dense = graph.kind(op) == "FULLY_CONNECTED"
        self.size = int(np.prod(self._kernel[1:]))
        self._per_batch = max(1, -(-max(_ROWS, 2 * self.size) // max(1, examples)))
        self._rng = np.random.default_rng(0)
        self._sums, self._total, self._count = np.zeros((self.size, self.size)), np.zeros(self.size), 0
        self._waiting: list[np.ndarray] = []

    def add(self, x: np.ndarray) -> None:
        self._waiting.append(x.reshape(-1, self.size) if self._dense else self._windows(x))
        if sum(map(len, self._waiting)) >= _ROWS_AT_ONCE:
            self._multiply()

    def _multiply(self) -> None:
        """Add what is waiting to the sums at once: a few large products are far faster than many small ones."""
        if self._waiting:
            rows = np.concatenate(self._waiting)
            self._waiting.clear()
            self._sums += rows.T @ rows
            self._total += rows.sum(axis=0, dtype=np.float64)
            self._count += len(rows)

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """The means of x_i x_j and of x_i; zeros if there were no patches."""
        self._multiply()
        return self._sums / max(1, self._count), self._total / max(1, self._count)

    def _windows(self, x: np.ndarray) -> np.ndarray:
        """Patches at random positions of the output, or at all positions if there are few."""
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
        rows_of_patches: np.ndarray = (patches * inside[..., None]).reshape(len(chosen), self.size)
        return rows_of_patches


def _starts(size: int, kernel: int, stride: int, dilation: int, same: bool) -> np.ndarray:
    """Where the windows of a convolution begin along one axis."""
    reach = (kernel - 1) * dilation + 1
    if not same:
        return np.arange((size - reach) // stride + 1) * stride
    count = -(-size // stride)
    return np.arange(count) * stride - max(0, (count - 1) * stride + reach - size) // 2


def layers(graph: Graph) -> list[Any]:
    """The operators whose kernels are rounded this way: dense and ungrouped convolutions of moderate patches."""
    with logged("rounding"):
        return [op for op in graph.ops if graph.kind(op) in _LAYERS and _can_be_rounded(graph, op)]


def _can_be_rounded(graph: Graph, op: Any) -> bool:
    kernel = graph.shape(int(op.inputs[1]))
    if graph.constant(int(op.inputs[1])) is None:
        graph.skip(op, "its kernel is computed")
    elif graph.kind(op) == "CONV_2D" and kernel[-1] != graph.shape(int(op.inputs[0]))[-1]:
        graph.skip(op, "it is a convolution in groups")
    elif np.prod(kernel[1:]) > _LARGEST_PATCH:
        graph.skip(op, f"its patches have more than {_LARGEST_PATCH:,} numbers")
    else:
        return True
    return False


def round_kernel(graph: Graph, op: Any, patches: Patches) -> None:
    """Replace the kernel by values on its grid, and correct the bias by the change of the mean output."""
    kernel = graph.constant(int(op.inputs[1]))
    w = kernel.reshape(len(kernel), -1).astype(np.float64)
    moments, mean = patches.moments()
    q = _rounded(w, moments)
    name = graph.name(int(op.outputs[0])).split(";")[0]
    inputs = [int(i) for i in op.inputs]
    inputs[1] = graph.add_constant(q.reshape(kernel.shape), f"{name}/rounded_kernel")
    bias = graph.constant(inputs[2]) if len(inputs) > 2 else None
    if bias is not None:
        inputs[2] = graph.add_constant(bias + (w - q) @ mean, f"{name}/corrected_bias")
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
    upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    weighs = upper / np.diag(upper)
    w, q = w[:, order], np.empty_like(w)
    for first in range(0, w.shape[1], _BLOCK):
        last = min(first + _BLOCK, w.shape[1])
        wanted = w[:, first:last] + (w[:, :first] - q[:, :first]) @ weighs[:first, first:last]
        for i in range(first, last):
            aim = wanted[:, i - first] + (w[:, first:i] - q[:, first:i]) @ weighs[first:i, i]
            steps = np.clip(np.round(aim / scale), -127, 127)
            steps[held == i] = end[held == i]
            q[:, i] = steps * scale
    return q[:, place]
