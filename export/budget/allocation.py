"""How many bits each weight gets for a number of bytes: the choice that adds the least noise.

One weight alone in fewer bits adds noise n = |y - y'|^2 / |y|^2 to the outputs and saves s bytes; the noise of several
adds up, as it does while it is small. So to save S bytes is a knapsack with one choice for each weight:

    minimize the sum of n  where the sum of s is at least S

and dynamic programming solves it for all S at once, in units of bytes: after weight i, f[S] is the least over its
choices of f[max(S - s, 0)] + n. What a choice saves is rounded down, so that a file is never larger than was asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_MOST_UNITS = 1 << 16


@dataclass(frozen=True)
class Cost:
    """What a weight costs at a number of bits: the bytes that it saves beside floats, and the noise."""

    saved: int
    noise: float


class Allocation:
    """The best choice for every number of bytes; `costs` has those of each weight at 16 bits and fewer."""

    def __init__(self, costs: Sequence[Mapping[int, Cost]]) -> None:
        self._choices = [{bits: cost for bits, cost in known.items() if cost.saved > 0} for known in costs]
        self.most = sum(max((cost.saved for cost in known.values()), default=0) for known in self._choices)
        self._unit = max(1, -(-self.most // _MOST_UNITS))
        least = np.full(self.most // self._unit + 1, np.inf)
        least[0] = 0.0
        self._taken: list[np.ndarray] = []
        for known in self._choices:
            best, taken = least.copy(), np.zeros(len(least), np.int8)
            for bits, cost in known.items():
                through = _behind(least, cost.saved // self._unit) + cost.noise
                taken[through < best] = bits
                best = np.minimum(best, through)
            least = best
            self._taken.append(taken)
        self.reachable = int(np.flatnonzero(np.isfinite(least))[-1]) * self._unit

    def bits(self, saved: int) -> dict[int, int]:
        """The bits of each weight that has fewer than a float's, by position, to save so many bytes at the least noise.

        Raises:
            ValueError: If so many cannot be saved.
        """
        left, found = -(-max(saved, 0) // self._unit), {}
        if left * self._unit > self.reachable:
            raise ValueError(f"at most {self.reachable} bytes can be saved; got {saved}")
        for position in reversed(range(len(self._taken))):
            bits = int(self._taken[position][left])
            if bits:
                found[position] = bits
                left = max(left - self._choices[position][bits].saved // self._unit, 0)
        return found


def _behind(least: np.ndarray, saved: int) -> np.ndarray:
    """`least` of what is left to save, for every number of units."""
    shifted = np.empty_like(least)
    shifted[: saved + 1] = least[0]
    shifted[saved + 1 :] = least[1 : max(len(least) - saved, 1)]
    return shifted
