"""Ranges of activations from calibration data: the range of least squared error when it is cut into 256 steps.

A range that holds the rarest outlier wastes steps on it; a narrower one clips it. First the upper end and then the
lower end moves inwards, to where the squared error, summed over a histogram of the values, is least. What is clipped
counts four times: errors of rounding point anywhere and add up to little in the layers behind, those of clipping all
point inwards, at the largest values, to which trained networks give the most weight.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

_BINS = 2_048
_ALPHAS = np.linspace(0.3, 1.0, 36)
_STEPS = 255
_CLIPPED = 4.0  # how many times the squared error of what is clipped counts


class Extremes:
    """The smallest and largest value of each tensor, zero included, and for some tensors of each channel."""

    def __init__(self, by_channel: Iterable[int] = ()) -> None:
        self.low: dict[int, float] = {}
        self.high: dict[int, float] = {}
        self.channels: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._by_channel = set(by_channel)

    def see(self, tensor: int, values: np.ndarray) -> None:
        if not values.size:
            return
        self.low[tensor] = min(self.low.get(tensor, 0.0), float(values.min()))
        self.high[tensor] = max(self.high.get(tensor, 0.0), float(values.max()))
        if tensor in self._by_channel:
            rows = values.reshape(-1, values.shape[-1])
            low, high = rows.min(axis=0), rows.max(axis=0)
            if tensor in self.channels:
                low, high = np.minimum(low, self.channels[tensor][0]), np.maximum(high, self.channels[tensor][1])
            self.channels[tensor] = low, high

    def forget(self, tensors: Iterable[int]) -> None:
        for tensor in tensors:
            self.low.pop(tensor, None)
            self.high.pop(tensor, None)

    def largest(self, tensor: int) -> float:
        return max(-self.low[tensor], self.high[tensor])


class Histograms:
    """How often each tensor takes which values, between its extremes."""

    def __init__(self, extremes: Extremes) -> None:
        self._extremes = extremes
        self._counts: dict[int, np.ndarray] = {}

    def see(self, tensor: int, values: np.ndarray) -> None:
        low, high = self._extremes.low[tensor], self._extremes.high[tensor]
        if high > low and values.size:
            place = ((values.reshape(-1) - low) * ((_BINS - 1e-3) / (high - low))).astype(np.int32)
            counts = np.bincount(place.clip(0, _BINS - 1), minlength=_BINS)
            self._counts[tensor] = self._counts.get(tensor, 0) + counts

    def best(self, tensor: int) -> tuple[float, float]:
        """The range of least error; from extreme to extreme for a tensor that was not counted."""
        low, high = self._extremes.low[tensor], self._extremes.high[tensor]
        if tensor not in self._counts:
            return low, high
        counts = self._counts[tensor]
        values = low + (np.arange(_BINS) + 0.5) * ((high - low) / _BINS)

        def error(bottom: float, top: float) -> float:
            step = (top - bottom) / _STEPS
            rounded = bottom + step * np.clip(np.round((values - bottom) / step), 0, _STEPS)
            beyond = values - np.clip(values, bottom, top)
            return float(counts @ ((rounded - values) ** 2 + (_CLIPPED - 1) * beyond**2))

        top = min((float(alpha) * high for alpha in _ALPHAS), key=lambda top: error(low, top)) if high > 0 else high
        bottom = min((float(alpha) * low for alpha in _ALPHAS), key=lambda b: error(b, top)) if low < 0 else low
        return bottom, top
