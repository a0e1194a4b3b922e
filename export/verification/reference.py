"""What the model says to one input, in float32; whoever calls this puts the model into float32 first.

An input with one infinity is judged only where that number has no effect: in other samples, in other groups. A position
counts as such if the output there is to the last bit what it is for two finite numbers in its place. (Not if it is
merely finite: TensorFlow's maximum of NaNs is -3.4e38.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import keras
import numpy as np

from ..errors import reason_of
from ..model.facts import ModelFacts
from ..model.test_inputs import INFINITE, Probe, with_first_number
from ..model.user_inputs import Arrays
from .metrics import relative_errors
from .pieces import run_in_pieces

_DRAWN_AGAIN = 16
_DRAWN_FOR_FILES = 4
_SAME = 1e-4


@dataclass(frozen=True)
class Reference:
    """What the model says to one input: its outputs, and for each the positions to judge (None for all).

    `finite` is the input itself, or for one with an infinity the same with 0 in its place.
    """

    outputs: Arrays
    finite: Arrays
    judged: list[np.ndarray] | None = None

    def part(self, i: int, y: np.ndarray) -> np.ndarray:
        """The judged positions of `y`, which stands for output `i`."""
        return y if self.judged is None or y.shape != self.judged[i].shape else y[self.judged[i]]

    def other_samples(self) -> Reference:
        """The same, judged in the samples behind the first alone."""
        judged = [mask.copy() for mask in self.judged or []]
        for mask in judged:
            mask[slice(1) if mask.ndim else ...] = False
        return replace(self, judged=judged)

    def without_zero_weights(self, got: Arrays, of_file: Redraws) -> tuple[Reference, int]:
        """The same without what is not finite in the first sample and what no finite number changes there; how much.

        The infinity comes there with a weight of zero, as in an interpolation, and zero times infinity is NaN. That is
        no leak. It stays one in other samples.
        """
        judged = [mask.copy() for mask in self.judged or []]
        for k, (mask, other) in enumerate(zip(judged, got, strict=True)):
            if mask.ndim and mask.shape == other.shape:
                draws = [of_file.untouched(i)[k] for i in range(_DRAWN_FOR_FILES)]
                touched = ~np.logical_and.reduce(draws)
                mask[:1] &= touched[:1] | np.isfinite(other[:1])
        left_out = sum(int(mask.sum() - rest.sum()) for mask, rest in zip(self.judged or [], judged, strict=True))
        return replace(self, judged=judged), left_out

    def otherwise(self, got: Arrays) -> set[int]:
        """The outputs that `got` has otherwise, somewhere where they are judged."""
        errors = self.measure(self.outputs, got, [0.0] * len(got))
        return {i for i, error in enumerate(errors) if error > _SAME}

    def measure(self, outputs: Arrays, others: Arrays, reached: list[float]) -> list[float]:
        """How far `others` are from `outputs`, where they are judged, as shares of their scales."""
        pairs = enumerate(zip(outputs, others, strict=True))
        return relative_errors([(self.part(i, y), self.part(i, other)) for i, (y, other) in pairs], reached)


def run_model(facts: ModelFacts, arrays: Arrays) -> Arrays:
    """The flat outputs of the model for all rows of the flat inputs, as many at a time as its signature takes."""

    def call(piece: Arrays) -> Arrays:
        if facts.calls is not None:
            return facts.calls(piece)
        return [keras.ops.convert_to_numpy(y) for y in facts.signature.call(facts.model, piece)]

    return run_in_pieces(call, arrays, facts.signature.batch)


def reference(facts: ModelFacts, probe: Probe) -> Reference:
    """Run the model on `probe`."""
    if probe.name != INFINITE or probe.given:
        return Reference(run_model(facts, probe.arrays), probe.arrays)
    finite = with_first_number(probe.arrays, probe.first, 0.0)
    tried = probe.arrays, finite, with_first_number(probe.arrays, probe.first, 3.0)
    outputs, here, there = (run_model(facts, arrays) for arrays in tried)
    untouched = [np.asarray((a == b) & (a == y)) for y, a, b in zip(outputs, here, there, strict=True)]
    return Reference(outputs, finite, untouched)


def references(facts: ModelFacts, cases: list[Probe]) -> tuple[list[tuple[Probe, Reference]], list[str]]:
    """What the model says to each input, and why it does not run on the others."""
    found, skipped = [], []
    for case in cases:
        said = _reference_or_reason(facts, case)
        if isinstance(said, Reference):
            found.append((case, said))
        else:
            skipped.append(f"{case.name}: {said}")
    return found, skipped


def _reference_or_reason(facts: ModelFacts, case: Probe) -> Reference | str:
    try:
        return reference(facts, case)
    except Exception as error:  # a layer may raise anything on numbers that mean nothing to it
        return f"the model does not run on it: {reason_of(error)}"


class Redraws:
    """Other numbers around the first one of an input, draw after draw; `run`, a model or a file, runs on each once."""

    def __init__(self, run: Callable[[Arrays], Arrays], probe: Probe) -> None:
        self._run = run
        self._probe = probe
        self._rng = np.random.default_rng(0)
        self._untouched: list[list[np.ndarray]] = []

    def untouched(self, i: int) -> list[np.ndarray]:
        """Where the outputs for the draw `i` stay as they are, whatever the first number is."""
        while len(self._untouched) <= i:
            arrays = self._probe.arrays
            drawn = [self._rng.normal(size=x.shape).astype(x.dtype) if x.dtype.kind == "f" else x for x in arrays]
            here, *others = (
                self._run(with_first_number(drawn, self._probe.first, value)) for value in (0.0, 1e3, -1e3)
            )
            outputs = zip(here, *others, strict=True)
            self._untouched.append([(a == b) & (a == c) for a, b, c in outputs])
        return self._untouched[i]


def narrowed(expected: Reference, got: Arrays, redraws: Redraws) -> Reference:
    """`expected` for an input with one infinity, without positions that depend on it although they did not show it.

    A ReLU or a maximum hides what a number does until the numbers around it let it through. So where `got` is something
    else, the model runs on other numbers around it; positions that no number changes stay judged.
    """
    for i in range(_DRAWN_AGAIN):
        if not expected.otherwise(got):
            break
        judged = expected.judged or [np.ones(y.shape, bool) for y in expected.outputs]
        both = zip(judged, redraws.untouched(i), strict=True)
        expected = replace(expected, judged=[before & now for before, now in both])
    return expected
