"""Look for the best file that keeps to a budget, along the curve of weights in mixed widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..progress import Progress, counted, silent
from ..quantization.budget import Budget
from ..quantization.stored_weights import FLOAT, StoredWeights
from ..report.size_curve import SizePoint, WeightBits
from .moves import Cost, Move, bits_after, in_order, undone
from .trials import Trials

_POINTS = 9  # of the curve, that are made and measured whatever is asked
_TRIED_BEYOND = 6  # more steps that are tried behind the last that keeps to the decibels
MIXED, FLOAT32 = "mixed", "float32"


@dataclass(frozen=True)
class Tried:
    """A file in which the weights have these bits, by position; `point` is what was measured."""

    bits: dict[int, int]
    point: SizePoint


class Spending:
    """The search over one file in floats, which lies at `path`; other files are made beside it."""

    def __init__(self, weights: StoredWeights, trials: Trials, path: Path, say: Progress = silent) -> None:
        self._weights, self._trials, self._path = weights, trials, path
        self._trial = path.with_name(f"trial{path.suffix}")
        self._known: dict[tuple[tuple[int, int], ...], Tried] = {}
        self.costs = self._costs(say)
        self.moves = in_order(self.costs)

    def look_for(self, budget: Budget, say: Progress = silent) -> None:
        """Make and measure files all along the curve, and near the best one that keeps to the budget."""
        say("measuring files of several sizes")
        count = len(self.moves)
        for k in sorted({round(i * count / (_POINTS - 1)) for i in range(_POINTS)}):
            self._measured(self.moves[:k])
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

    def _costs(self, say: Progress) -> list[dict[int, Cost]]:
        self._weights.write({}, self._trial)
        size, own = self._trial.stat().st_size, self._trials.noise(self._trial)
        tries = [(i, bits) for i, weight in enumerate(self._weights.weights) for bits in weight.bits if bits != FLOAT]
        costs: list[dict[int, Cost]] = [{} for _ in self._weights.weights]
        for i, bits in counted(tries, say, "weights tried in fewer bits"):
            self._weights.write({i: bits}, self._trial)
            noise = max(self._trials.noise(self._trial) - own, 0.0)
            costs[i][bits] = Cost(self._trial.stat().st_size - size, noise)
        return costs

    def _measured(self, moves: Sequence[Move]) -> SizePoint:
        bits = bits_after(moves)
        key = tuple(sorted(bits.items()))
        if key not in self._known:
            self._weights.write(bits, self._trial)
            name = MIXED if bits else FLOAT32
            point = SizePoint(name, self._trial.stat().st_size, self._trials.db(self._trial))
            self._known[key] = Tried(bits, point)
        return self._known[key].point

    def _smallest_above(self, db: float) -> None:
        """Halve towards the last step that keeps to the decibels, then leave out the steps behind it that do not."""
        low, high = 0, len(self.moves) + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._measured(self.moves[:middle]).sqnr_db >= db else (low, middle)
        taken = list(self.moves[:low])
        for move in self.moves[low : low + _TRIED_BEYOND]:
            if self._measured([*taken, move]).sqnr_db >= db:
                taken.append(move)

    def _most_exact_below(self, size: int) -> None:
        """The first steps that are enough, and the same without those that the bytes left over can pay for."""
        low, high = -1, len(self.moves)
        if self._size(self.moves) > size:
            return
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._size(self.moves[:middle]) <= size else (middle, high)
        taken = self.moves[:high]
        self._measured(taken)
        room = size - self._size(taken)
        while room > 0 and self._size(fuller := undone(taken, room)) > size:  # scales and names take bytes too
            room -= self._size(fuller) - size
        if room > 0:
            self._measured(fuller)

    def _size(self, moves: Sequence[Move]) -> int:
        self._weights.write(bits_after(moves), self._trial)
        return self._trial.stat().st_size


def _decibels(noise: float) -> float:
    return math.inf if noise == 0 else -10 * math.log10(noise)
