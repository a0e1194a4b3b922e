"""What the model says to one input, and how far its outputs move when inputs and weights are rounded differently.

The functions run the model as it stands: whoever calls them puts it into float32 first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import keras
import numpy as np

from ..errors import reason_of
from ..model.facts import ModelFacts
from ..model.test_inputs import INFINITE, Probe, with_first_number
from ..model.user_inputs import Arrays
from .float64_norms import exact_norms
from .metrics import relative_errors
from .pieces import run_in_pieces

_DRAWN_AGAIN = 16


@dataclass(frozen=True)
class Reference:
    """What the model says to one input: its outputs, and for each the positions to judge (None for all)."""

    outputs: Arrays
    move: Callable[[], Arrays]
    judged: list[np.ndarray] | None = None

    @cached_property
    def moved(self) -> Arrays:
        """The outputs for inputs and weights that are moved by one rounding step; runs the model at the first use."""
        return self.move()

    def part(self, i: int, y: np.ndarray) -> np.ndarray:
        """The judged positions of `y`, which stands for output `i`."""
        return y if self.judged is None or y.shape != self.judged[i].shape else y[self.judged[i]]

    def relative_errors(self, others: Arrays, reached: list[float]) -> list[float]:
        """How far `others` are from the outputs, where they are judged, as shares of their scales."""
        pairs = enumerate(zip(self.outputs, others, strict=True))
        return relative_errors([(self.part(i, y), self.part(i, other)) for i, (y, other) in pairs], reached)


def reference(facts: ModelFacts, probe: Probe) -> Reference:
    """Run the model on `probe`."""
    if probe.name != INFINITE or probe.given:
        return Reference(_call(facts, probe.arrays), lambda: _call_rounded(facts, probe.arrays))
    # What does not depend on the first number must not change when that is infinite: no other sample, no other group.
    finite = with_first_number(probe.arrays, 0.0)
    outputs, others = _call(facts, probe.arrays), _call(facts, with_first_number(probe.arrays, 3.0))
    here = _call(facts, finite)
    untouched = [(a == b) & np.isfinite(y) for y, a, b in zip(outputs, here, others, strict=True)]

    def move() -> Arrays:
        # The rounding step is taken from the finite input, so its effect is measured from there too.
        moved = zip(outputs, _call_rounded(facts, finite), here, strict=True)
        return [y + (m - a) if y.dtype.kind == "f" else y for y, m, a in moved]

    return Reference(outputs, move, untouched)


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
    """Other numbers around the first one of an input, draw after draw; the model runs on each draw once."""

    def __init__(self, facts: ModelFacts, probe: Probe) -> None:
        self._facts = facts
        self._probe = probe
        self._rng = np.random.default_rng(0)
        self._untouched: list[list[np.ndarray]] = []

    def untouched(self, i: int) -> list[np.ndarray]:
        """Where the outputs for the draw `i` stay as they are, whatever the first number is."""
        while len(self._untouched) <= i:
            arrays = self._probe.arrays
            drawn = [self._rng.normal(size=x.shape).astype(x.dtype) if x.dtype.kind == "f" else x for x in arrays]
            here, *others = (_call(self._facts, with_first_number(drawn, value)) for value in (0.0, 1e3, -1e3))
            outputs = zip(here, *others, strict=True)
            self._untouched.append([(a == b) & (a == c) for a, b, c in outputs])
        return self._untouched[i]


def narrowed(expected: Reference, got: Arrays, redraws: Redraws) -> Reference:
    """`expected` for an input with one infinity, without positions that depend on it although they did not show it.

    A ReLU or a maximum hides what a number does until the numbers around it let it through. So where `got` is not
    finite, the model runs on other numbers around it; positions that no number changes stay judged.
    """
    for i in range(_DRAWN_AGAIN):
        if all(np.isfinite(expected.part(k, y)).all() for k, y in enumerate(got) if y.dtype.kind == "f"):
            break
        judged = expected.judged or [np.ones(y.shape, bool) for y in expected.outputs]
        both = zip(judged, redraws.untouched(i), strict=True)
        expected = replace(expected, judged=[before & now for before, now in both])
    return expected


def outputs_of_exact_norms(facts: ModelFacts, probe: Probe) -> Arrays | None:
    """The outputs if Keras' own norms, which round far from zero, were exact; None if the model has none of them."""
    with exact_norms(facts.model) as any_there:
        return reference(facts, probe).outputs if any_there else None


def _call(facts: ModelFacts, arrays: Arrays) -> Arrays:
    def run(piece: Arrays) -> Arrays:
        return [keras.ops.convert_to_numpy(y) for y in facts.signature.call(facts.model, piece)]

    return run_in_pieces(run, arrays, facts.signature.batch)


def _call_rounded(facts: ModelFacts, arrays: Arrays) -> Arrays:
    """`_call` with every float of the inputs and of the weights moved by one rounding step.

    Where inputs are zero, moving them alone changes nothing. The weights themselves stay: a scope stands in for them.
    """
    rng = np.random.default_rng(0)
    floats = [v for v in facts.model.variables if v.dtype in ("float32", "float64")]
    moved = [(v, keras.ops.convert_to_tensor(_one_step(keras.ops.convert_to_numpy(v), rng))) for v in floats]
    with keras.StatelessScope(state_mapping=moved):
        return _call(facts, [_one_step(x, rng) if x.dtype.kind == "f" else x for x in arrays])


def _one_step(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every float moved by one rounding step, up or down."""
    return np.asarray(np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(x.dtype)))
