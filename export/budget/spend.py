"""Look for the best file that keeps to a budget, along the curve of weights in mixed widths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..progress import Progress, counted, silent
from ..quantization.budget import Budget
from ..quantization.stored_weights import FLOAT, StoredWeights
from ..report.size_curve import SizePoint, WeightBits
from .allocation import Allocation, Cost
from .trials import Trials

_POINTS = 9  # of the curve, that are made and measured whatever is asked
_FINEST = 512  # parts of what can be saved, to which the bytes are found that a number of decibels takes
MIXED, FLOAT32 = "mixed", "float32"


@dataclass(frozen=True)
class Tried:
    """A file in which the weights have these bits, by position; `point` is what was measured."""

    bits: dict[int, int]
    point: SizePoint


class Spending:
    """The search over one file in floats, which lies at `path`; other files are made beside it."""

    def __init__(self, weights: StoredWeights, trials: Trials, path: Path, say: Progress = silent) -> None:
        self._weights, self._trials = weights, trials
        self._trial = path.with_name(f"trial{path.suffix}")
        self._known: dict[tuple[tuple[int, int], ...], Tried] = {}
        self._size, self.costs = self._costs(say)
        self._allocation = Allocation(self.costs)

    def look_for(self, budget: Budget, say: Progress = silent) -> None:
        """Make and measure files all along the curve, and near the best one that keeps to the budget."""
        say("measuring files of several sizes")
        for i in range(_POINTS):
            self._saving(i * self._allocation.reachable // (_POINTS - 1))
        if budget.min_db is not None:
            self._smallest_above(budget.min_db)
        else:
            self._most_exact_below(budget.max_bytes or 0)

    @property
    def tried(self) -> list[Tried]:
        """Every file that was measured, the largest first."""
        return sorted(self._known.values(), key=lambda tried: -tried.point.size_bytes)

    def described(self, bits: dict[int, int]) -> tuple[WeightBits, ...]:
        """The bits of every weight, and how exact the file would be with each of them alone in fewer."""
        return tuple(
            WeightBits(
                weight.layer,
                weight.name,
                math.prod(weight.shape),
                bits.get(i, FLOAT),
                {str(width): _decibels(cost.noise) for width, cost in self.costs[i].items()},
            )
            for i, weight in enumerate(self._weights.weights)
        )

    def write(self, tried: Tried, target: Path) -> None:
        self._weights.write(tried.bits, target)

    def _costs(self, say: Progress) -> tuple[int, list[dict[int, Cost]]]:
        """The bytes of the file in floats, and what each weight costs."""
        self._weights.write({}, self._trial)
        size, own = self._trial.stat().st_size, self._trials.noise(self._trial)
        tries = [(i, bits) for i, weight in enumerate(self._weights.weights) for bits in weight.bits if bits != FLOAT]
        costs: list[dict[int, Cost]] = [{} for _ in self._weights.weights]
        for i, bits in counted(tries, say, "weights tried in fewer bits"):
            self._weights.write({i: bits}, self._trial)
            noise = max(self._trials.noise(self._trial) - own, 0.0)
            costs[i][bits] = Cost(size - self._trial.stat().st_size, noise)
        return size, costs

    def _saving(self, saved: int) -> SizePoint:
        """What was measured of the best file that saves so many bytes."""
        return self._measured(self._allocation.bits(saved))

    def _measured(self, bits: Mapping[int, int]) -> SizePoint:
        key = tuple(sorted(bits.items()))
        if key not in self._known:
            self._weights.write(bits, self._trial)
            name = MIXED if bits else FLOAT32
            point = SizePoint(name, self._trial.stat().st_size, self._trials.db(self._trial))
            self._known[key] = Tried(dict(bits), point)
        return self._known[key].point

    def _smallest_above(self, db: float) -> None:
        """Halve between what is exact enough and what is not: noise grows with what is saved."""
        low, high = 0, self._allocation.reachable + 1
        while high - low > max(1, self._allocation.reachable // _FINEST):
            middle = (low + high) // 2
            low, high = (middle, high) if self._saving(middle).sqnr_db >= db else (low, middle)

    def _most_exact_below(self, size: int) -> None:
        """The file that saves enough; a little more where the sums of what single weights save were not exact."""
        saved = self._size - size
        while saved <= self._allocation.reachable:
            over = self._saving(saved).size_bytes - size
            if over <= 0:
                return
            saved += over


def _decibels(noise: float) -> float:
    return math.inf if noise == 0 else -10 * math.log10(noise)
