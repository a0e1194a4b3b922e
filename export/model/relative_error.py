"""How far one array is from another, relative to the scale of the first. NumPy only: folding and verification use it.

    relative error = max |other - y| / max(scale(y), smallest)

An infinity is no error where `other` has the same one, nor is NaN where both have it; any other of these is infinite.
What `smallest` is differs: folding takes the smallest number that its dtype holds in full, verification a share of
what the output reaches on other inputs.
"""

from __future__ import annotations

import numpy as np


def scale(y: np.ndarray) -> float:
    """The largest finite magnitude; 0 of an array that holds no numbers."""
    finite = np.abs(y[np.isfinite(y)].astype(np.float64)) if y.dtype.kind in "fiub" else np.zeros(0)
    return float(finite.max()) if finite.size else 0.0


def absolute_errors(y: np.ndarray, other: np.ndarray) -> np.ndarray:
    """|other - y| in float64; 0 where both hold the same infinity or both hold NaN."""
    a, b = y.astype(np.float64), other.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, np.abs(a - b))


def largest(errors: np.ndarray) -> float:
    """The largest of `errors`, infinite if one of them is not finite."""
    return float(errors.max(initial=0.0)) if np.isfinite(errors).all() else np.inf


def relative(error: float, reach: float) -> float:
    """`error` as a share of `reach`; of nothing, no error is 0 and any other is infinite."""
    if error == 0.0:
        return 0.0
    return error / reach if reach and np.isfinite(error) else np.inf
