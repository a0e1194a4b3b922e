"""One input: what each runtime computes on it beside the model, what rounding may do to it, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..model.facts import ModelFacts
from ..model.relative_error import scale
from ..model.test_inputs import INFINITE, WIDE, Probe
from ..model.user_inputs import Arrays
from ..quantization.modes import Mode
from ..report.check import Check
from .diagnosis.name_in_error import layer_named
from .float32_rounding import STEP, Rounding, rounding, rounding_by_steps
from .interface import Artifact, mismatch
from .metrics import SMALLEST_SCALE, SWAPPED, Distance, distance, is_same_and_not
from .output_scales import OutputScales
from .overflow import overflowing_layer
from .reference import Redraws, Reference, narrowed, run_model
from .tolerance import Tolerance, breaks_norms, unusable, widened

_NOT_FINITE = "is not finite where the model's is"


@dataclass(frozen=True)
class _Measured:
    """One output of one runtime: how far it is from the model's, or why it cannot be the model's.

    `problem` is about its numbers, `broken` about what holds also where its numbers tell nothing.
    """

    runtime: str
    output: int
    distance: Distance
    problem: str | None
    broken: str | None


@dataclass(frozen=True)
class Comparison:
    """What holds for every input: the model, the artifact, what is asked of it, and the scale of each output."""

    facts: ModelFacts
    artifact: Artifact
    tolerance: Tolerance
    mode: Mode | None
    scales: OutputScales

    def checks(
        self, case: Probe, expected: Reference, runs: Iterator[dict[str, Arrays]], wrong: Collection[str] = ()
    ) -> tuple[list[Check], list[str]]:
        """What came of one input, and why some outputs, or all, cannot be judged by their numbers on it.

        `runs` gives what every runtime computes on the next input that can be used; `wrong` are outputs that other
        inputs have shown to be wrong.
        """
        reason = why_unusable(case, expected)
        if reason:
            return [], [f": {reason}"]
        with layer_named(self.facts.model):
            results = next(runs)
        names = self.facts.signature.outputs
        if expected.judged is not None and not case.given:
            off = set().union(*(expected.otherwise(got) for got in results.values()))
            if off and all(names[i] in wrong for i in off):
                return self._without(off, case, expected, results, "depend on the infinity")
        measured, expected, reasons = self._measure(case, expected, results)
        if case.judged_for == "finite" and not case.given and any(found.broken == _NOT_FINITE for found in measured):
            layer = overflowing_layer(self.facts, case.arrays)
            if layer:
                return [], [f": '{layer}' gives infinite numbers on it"]
        exceeded = {found.output for found in measured if found.distance.relative > self.tolerance.share}
        unexplained = self._asks_for_rounding(case, exceeded)
        if unexplained and all(names[i] in wrong for i in exceeded):
            return self._without(exceeded, case, expected, results, "be off by rounding")
        rounded = self._rounding(case, expected, measured) if unexplained else None
        useless = self._useless(case, expected, rounded, exceeded) if rounded else {}
        found = [self._check(case, expected, one, rounded, one.output in useless) for one in measured]
        if case.name == INFINITE and not case.given:
            found = [check for check, one in zip(found, measured, strict=True) if one.output not in useless]
        if len(useless) == len(names):
            return found, [f": {next(iter(useless.values()))}"]
        return found, [*reasons, *(f", output '{names[i]}': {reason}" for i, reason in useless.items())]

    def _without(
        self, off: set[int], case: Probe, expected: Reference, results: dict[str, Arrays], why: str
    ) -> tuple[list[Check], list[str]]:
        """What came of the outputs that are not `off`: these are wrong on another input, so why is not found out."""
        rest = [found for runtime, got in results.items() for found in self._measured(runtime, case, expected, got)]
        found = [self._check(case, expected, one, None, False) for one in rest if one.output not in off]
        named = ", ".join(f"'{self.facts.signature.outputs[i]}'" for i in sorted(off))
        return found, [f": {named} may {why}, and is wrong on another input"]

    def _useless(self, case: Probe, expected: Reference, rounded: Rounding, exceeded: set[int]) -> dict[int, str]:
        """Those of the outputs in `exceeded` whose numbers tell little about the artifact, and why: the worst first.

        On inputs that are made to break norms an output may be nothing but rounding, as that of a norm of equal
        numbers is. So there what the output reaches on ordinary inputs is its scale, where that is more.
        """
        found: dict[int, str] = {}
        for i in sorted(exceeded, key=lambda i: -rounded.shares[i]):
            least, own = self._scales(i, case, expected)
            most = max(own, self.scales.on(case)[i]) if breaks_norms(case) else own
            reason = unusable(Rounding([rounded.shares[i] * (max(own, least) / most if most else 1.0)], rounded.how))
            found |= {i: reason} if reason else {}
        return found

    def _scales(self, i: int, case: Probe, expected: Reference) -> tuple[float, float]:
        """The least scale that errors of an output are taken relative to, and its own for this input."""
        return SMALLEST_SCALE * self.scales.on(case)[i], scale(expected.part(i, expected.outputs[i]))

    def _measure(
        self, case: Probe, expected: Reference, results: dict[str, Arrays]
    ) -> tuple[list[_Measured], Reference, list[str]]:
        """How far every runtime is off, what the model says in the positions that can be judged, and what cannot."""
        redraws = Redraws(partial(run_model, self.facts), case)
        for got in results.values() if expected.judged is not None else ():
            expected = narrowed(expected, got, redraws)
        own = [self._measured(runtime, case, expected, got) for runtime, got in results.items()]
        reasons: list[str] = []
        if expected.judged is not None:
            own, reasons = self._without_harmless(case, expected, results, own)
        return [found for of_runtime in own for found in of_runtime], expected, reasons

    def _without_harmless(
        self, case: Probe, expected: Reference, results: dict[str, Arrays], own: list[list[_Measured]]
    ) -> tuple[list[list[_Measured]], list[str]]:
        """What every runtime computes on an infinity, without NaN that is no leak, and how much that leaves out.

        That is an infinity times a weight of zero in its own sample; and, where another runtime computes it right,
        one times a weight that only fills up a kernel of the runtime. In other samples either would be a leak.
        """
        found, most = list(own), 0
        for k, (runtime, got) in enumerate(results.items()):
            if not self._within(found[k]):
                of_file = Redraws(partial(self.artifact.run, runtime), case)
                without, left_out = expected.without_zero_weights(got, of_file)
                found[k], most = self._measured(runtime, case, without, got), max(most, left_out)
        if any(self._within(one) for one in found):
            other = expected.other_samples()
            rest = [self._measured(runtime, case, other, got) for runtime, got in results.items()]
            found = [one if self._within(one) else elsewhere for one, elsewhere in zip(found, rest, strict=True)]
        reason = f", {most} numbers of the sample itself: in the file they are an infinity times a weight of zero"
        return found, [reason] if most else []

    def _floor_of(self, output: str) -> float | None:
        """The ratio asked of an output of a quantized artifact, unless the user asks for a tolerance."""
        return None if self.mode is None or self.tolerance.given else self.mode.floor_of(output)

    def _within(self, measured: list[_Measured]) -> bool:
        return all(found.problem is None and found.distance.relative <= self.tolerance.share for found in measured)

    def _measured(self, runtime: str, case: Probe, expected: Reference, got: Arrays) -> list[_Measured]:
        names, reached, measured = self.facts.signature.outputs, self.scales.on(case), []
        for i, (y, other) in enumerate(zip(expected.outputs, got, strict=True)):
            found = distance(expected.part(i, y), expected.part(i, other), reached[i])
            broken = problem = mismatch(y, other, self.mode)
            if problem is None and case.judged_for == "numbers":
                problem = _swapped(i, names, expected.outputs, other, reached[i])
            if broken is None and not np.isfinite(other[np.isfinite(y)]).all():
                broken = _NOT_FINITE
            measured.append(_Measured(runtime, i, found, broken if case.judged_for == "finite" else problem, broken))
        return measured

    def _asks_for_rounding(self, case: Probe, exceeded: set[int]) -> bool:
        """Whether rounding may explain what is off."""
        by_ratio = self.mode is not None and not self.tolerance.given
        return bool(exceeded) and not (by_ratio or case.judged_for == "finite" or self.tolerance.is_law(case))

    def _rounding(self, case: Probe, expected: Reference, measured: list[_Measured]) -> Rounding:
        """How far rounding moves the model, in up to twenty more runs of it."""

        def measure(outputs: Arrays, others: Arrays) -> list[float]:
            return expected.measure(outputs, others, self.scales.on(case))

        def explained(rounded: Rounding) -> bool:
            limits = self.tolerance.limits(rounded)
            return all(found.distance.relative <= limits[found.output] for found in measured)

        found = rounding(self.facts, run_model, expected.finite, measure)
        if breaks_norms(case):
            found = found.or_by(self._step_of_reach(case, expected))
        if not explained(found):
            steps = partial(rounding_by_steps, bounded=breaks_norms(case))
            found = found.or_by(steps(self.facts, run_model, expected.finite, measure))
        return found

    def _step_of_reach(self, case: Probe, expected: Reference) -> Rounding:
        """A rounding step of what each output reaches on ordinary inputs."""
        shares = []
        for i, reached in enumerate(self.scales.on(case)):
            scales = self._scales(i, case, expected)
            shares.append(STEP * reached / max(scales) if max(scales) else 0.0)
        return Rounding(shares, "by a step of what it reaches on ordinary inputs")

    def _check(
        self, case: Probe, expected: Reference, found: _Measured, rounded: Rounding | None, useless: bool
    ) -> Check:
        max_abs, relative, sqnr_db = found.distance
        name = self.facts.signature.outputs[found.output]
        judged_for = "finite" if useless else case.judged_for
        problem = found.broken if useless else found.problem
        limit = self.tolerance.share if rounded is None else self.tolerance.limits(rounded)[found.output]
        floor_db = self._floor_of(name) if judged_for == "numbers" else None
        within = relative <= limit if floor_db is None else sqnr_db >= floor_db
        of_no_use = case.judged_for == "finite" or (useless and case.name == WIDE)
        return Check(
            case=case.name,
            runtime=found.runtime,
            output=name,
            max_abs=max_abs,
            scale=scale(expected.outputs[found.output]),
            relative=relative,
            sqnr_db=sqnr_db,
            allowed=limit,
            floor_db=floor_db,
            ok=problem is None and (within or of_no_use),
            problem=problem,
            judged_for=judged_for,
            why=widened(rounded, found.output) if rounded and limit > self.tolerance.share else None,
        )


def why_unusable(case: Probe, expected: Reference) -> str | None:
    """Why an input cannot be used to judge the artifact, or None."""
    judged = [expected.part(i, y) for i, y in enumerate(expected.outputs)]
    if expected.judged is not None and not any(y.size for y in judged):
        return "every number of every output depends on it"
    if not case.given and not all(np.isfinite(y).all() for y in judged):
        return "the model's own output is not finite"
    return None


def _swapped(i: int, names: tuple[str, ...], outputs: Arrays, got: np.ndarray, reached: float) -> str | None:
    """Says that an output is another one of the model's, rather than a bad one."""
    if len(outputs) == 1 or distance(outputs[i], got, reached).relative < SWAPPED:  # rounding alone may be alike
        return None
    others = (name for k, name in enumerate(names) if k != i and is_same_and_not(got, outputs[k], outputs[i]))
    twin = next(others, None)
    return None if twin is None else f"has what '{twin}' should have"
