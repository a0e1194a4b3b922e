"""Round kernels to few bits so that the error of the layer's output, not that of each weight, is least.

If each weight is rounded to the nearest step, the errors add up at random. The inputs of a layer are correlated, so the
weights that are not rounded yet can make up for what one weight loses. With X the patches of the calibration data (a
row each) and H = X'X + damping, minimize |X (w - q)|^2 over q on the grid, column after column:

    H = R R', R upper triangular, so |X (w - q)|^2 = sum over i of (sum over j <= i of (w_j - q_j) R_ji)^2
    q_i = w_i + sum over j < i of (w_j - q_j) R_ji / R_ii, on the grid

(Frantar et al., GPTQ, arXiv 2210.17323, in the form of Chee et al., arXiv 2307.13304, which inverts nothing.)
"""

from __future__ import annotations

import numpy as np

LAST = {4: 7, 8: 127}  # the last step of the grid, on either side of zero
LARGEST_PATCH = 2_400  # the Cholesky factor of a larger patch takes seconds
_DAMPING = 0.01
_BLOCK = 64
_CLIPPED = np.linspace(1.0, 0.5, 21)  # ends of the grid that are tried, as shares of the largest weight


def to_grid(
    w: np.ndarray, moments: np.ndarray, scale: np.ndarray, last: int, held: np.ndarray | None = None
) -> np.ndarray:
    """The steps, from -last to last, of weights w (outputs, inputs) at a scale for each output.

    `moments` are the means of x_i x_j; where there is one `held` for each output, its position ends up at the end of
    the grid, and a quantizer that takes the scale from the largest weight finds the same again.
    """
    order = np.argsort(-np.diag(moments), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    damping = max(1e-12, _DAMPING * float(np.mean(np.diag(moments))))
    damped = moments[np.ix_(order, order)] + damping * np.eye(len(order))
    upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
    weighs = upper / np.diag(upper)
    if held is not None:
        end, held = np.sign(w[np.arange(len(w)), held]) * last, place[held]
    w, q, steps_of = w[:, order], np.empty_like(w), np.empty_like(w)
    for first in range(0, w.shape[1], _BLOCK):
        stop = min(first + _BLOCK, w.shape[1])
        wanted = w[:, first:stop] + (w[:, :first] - q[:, :first]) @ weighs[:first, first:stop]
        for i in range(first, stop):
            aim = wanted[:, i - first] + (w[:, first:i] - q[:, first:i]) @ weighs[first:i, i]
            steps = np.clip(np.round(aim / scale), -last, last)
            if held is not None:
                steps[held == i] = end[held == i]
            q[:, i], steps_of[:, i] = steps * scale, steps
    in_place: np.ndarray = steps_of[:, place]
    return in_place


def best_scale(w: np.ndarray, moments: np.ndarray | None, last: int) -> np.ndarray:
    """The scale of each row of w whose nearest steps lose least, counting each weight by its input's power."""
    power = np.ones(w.shape[1]) if moments is None else np.diag(moments)
    largest = np.abs(w).max(axis=1)
    largest[largest == 0] = last
    best: np.ndarray = largest / last
    least = np.full(len(w), np.inf)
    for share in _CLIPPED:
        scale = share * largest / last
        steps = np.clip(np.round(w / scale[:, None]), -last, last)
        lost = ((steps * scale[:, None] - w) ** 2) @ power
        best, least = np.where(lost < least, scale, best), np.minimum(lost, least)
    return best


def in_bits(w: np.ndarray, bits: int, moments: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The steps and the scale of each row of w (outputs, inputs), in 4 or 8 bits."""
    w, last = w.astype(np.float64), LAST[bits]
    scale = best_scale(w, moments, last)
    nearest = np.clip(np.round(w / scale[:, None]), -last, last)
    steps = nearest if moments is None else to_grid(w, moments, scale, last)
    return steps.astype(np.int8), scale.astype(np.float32)


def packed(steps: np.ndarray) -> np.ndarray:
    """Steps of 4 bits as bytes, the first of two in the lower half, as both formats keep them."""
    halves = (steps.reshape(-1) & 15).astype(np.uint8)
    halves = np.append(halves, np.zeros(len(halves) % 2, np.uint8))
    both: np.ndarray = halves[0::2] | (halves[1::2] << 4)
    return both
