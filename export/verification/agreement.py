"""Whether the runtimes give the same integers for a file whose outputs are integers, or how many steps apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..model.user_inputs import Arrays
from ..report.agreement_report import Apart
from .interface import Artifact


class Agreement:
    """Counts, over all inputs, where a runtime gives other integers than the first one does."""

    def __init__(self, artifact: Artifact) -> None:
        told = (getattr(runner, "output_steps", {}) for runner in artifact.runners.values())
        steps: dict[str, float] = next((found for found in told if found), {})
        self._steps = [steps.get(name, 0.0) for name in artifact.to_output.values()]
        self._numbers = 0
        self._apart: dict[str, tuple[int, int]] = {}

    def watched(self, runs: Iterable[dict[str, Arrays]]) -> Iterator[dict[str, Arrays]]:
        """The runs as they are, each looked at."""
        for results in runs:
            if all(self._steps):
                self._see(results)
            yield results

    def _see(self, results: dict[str, Arrays]) -> None:
        first, *others = results
        self._numbers += sum(y.size for y in results[first])
        for runtime in others:
            count, most = self._apart.get(runtime, (0, 0))
            for mine, other, step in zip(results[first], results[runtime], self._steps, strict=True):
                apart = np.abs(np.round((other.astype(np.float64) - mine) / step))
                count, most = count + int(np.count_nonzero(apart)), max(most, int(apart.max(initial=0)))
            self._apart[runtime] = count, most

    def found(self, first: str) -> tuple[Apart, ...]:
        """What each other runtime was found to be; nothing for a file whose outputs are floats."""
        return tuple(Apart(first, other, self._numbers, *counts) for other, counts in self._apart.items())
