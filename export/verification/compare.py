"""The artifact beside the model: what each runtime computes, what rounding may do to it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..formats.protocol import Runner
from ..model.facts import ModelFacts
from ..model.precision import in_float32
from ..model.relative_error import scale
from ..model.test_inputs import Probe
from ..model.user_inputs import Arrays
from ..quantization.modes import Mode
from ..report.check import Check
from ..report.verify_report import VerifyReport
from .advice import advice
from .cases import record_of
from .float32_rounding import Rounding, rounding
from .interface import Artifact, first_of, fixed_batch, mismatch
from .metrics import SWAPPED, Distance, distance, is_same_and_not
from .movement import movements
from .reference import Redraws, Reference, narrowed, references, run_model
from .tolerance import Tolerance, ordinary, unusable, widened


def compare(
    facts: ModelFacts,
    runners: dict[str, Runner],
    path: Path,
    cases: list[Probe],
    *,
    tolerance: float | None = None,
    mode: Mode | None = None,
    advisers: dict[str, Runner] | None = None,
) -> VerifyReport:
    """Run the model and the artifact at `path`, opened in `runners`, on the inputs of `cases_to_try`.

    What `advisers` compute is told where it differs, and decides nothing.

    Raises:
        ExportError: If `tolerance` is of no use, or if the artifact has other inputs or outputs than the model.
        VerificationError: If a runtime does not run the artifact.
    """
    allowed = Tolerance.of(tolerance)
    facts = facts.with_batch(fixed_batch(first_of(runners)))
    artifact = Artifact.of(path, runners, facts.signature)
    checks: list[Check] = []
    with in_float32(facts.model):
        expectations, skipped = references(facts, cases)
        floor_db = mode.floor_db if mode and not allowed.given else None
        comparison = _Comparison(facts, artifact, allowed, floor_db, mode, _reached(expectations))
        for case, expected in expectations:
            found, reason = comparison.checks(case, expected)
            checks += found
            skipped += [f"{case.name}: {reason}"] if reason else []
        told = advice(artifact, advisers or {}, expectations, comparison.reached, allowed.share, mode)
    ordinary_ones = {case.name for case in cases if ordinary(case) and case.judged_for == "numbers"}
    if not any(check.case in ordinary_ones for check in checks):
        checks = []  # zeros or a constant alone prove nothing
    return VerifyReport(
        str(path),
        allowed.share,
        tuple(checks),
        tuple(skipped),
        quantized=mode.name if mode else None,
        inputs=tuple(record_of(case, facts.signature) for case in cases),
        advice=told,
        movement=movements(expectations, facts.signature.outputs),
    )


def _reached(expectations: list[tuple[Probe, Reference]]) -> list[float]:
    """The scale of each output on ordinary inputs: where it is far smaller, rounding is judged against this."""
    of_ordinary = [map(scale, expected.outputs) for case, expected in expectations if ordinary(case)]
    of_any = [[0.0] * len(expected.outputs) for _, expected in expectations[:1]]
    return [max(scales) for scales in zip(*of_ordinary, *of_any, strict=True)]


@dataclass(frozen=True)
class _Measured:
    """One output of one runtime: how far it is from the model's, or why it cannot be the model's."""

    runtime: str
    output: int
    distance: Distance
    problem: str | None


@dataclass(frozen=True)
class _Comparison:
    """What holds for every input: the model, the artifact, what is asked of it, and the scale of each output."""

    facts: ModelFacts
    artifact: Artifact
    tolerance: Tolerance
    floor_db: float | None
    mode: Mode | None
    reached: list[float]

    def checks(self, case: Probe, expected: Reference) -> tuple[list[Check], str | None]:
        """What came of one input; or nothing, and why it cannot be used to judge the artifact."""
        reason = _why_unusable(case, expected)
        if reason:
            return [], reason
        measured, expected = self._measure(case, expected)
        rounded = self._rounding(case, expected, measured)
        reason = unusable(rounded) if rounded else None
        if reason:
            return [], reason
        return [self._check(case, expected, found, rounded) for found in measured], None

    def _measure(self, case: Probe, expected: Reference) -> tuple[list[_Measured], Reference]:
        """What every runtime computes, and what the model says in the positions that can be judged."""
        redraws, results = Redraws(self.facts, case), {}
        for runtime, got in self.artifact.run_each(case.arrays):
            results[runtime] = got
            if expected.judged is not None:
                expected = narrowed(expected, got, redraws)
        # An infinity times a weight that only fills up a kernel of the runtime is NaN beside it. That is no fault of a
        # file that another runtime computes right; in other samples it would be one.
        own = [self._measured(runtime, case, expected, got) for runtime, got in results.items()]
        if expected.judged is not None and any(self._within(found) for found in own):
            other = expected.other_samples()
            rest = [self._measured(runtime, case, other, got) for runtime, got in results.items()]
            own = [found if self._within(found) else elsewhere for found, elsewhere in zip(own, rest, strict=True)]
        return [found for of_runtime in own for found in of_runtime], expected

    def _within(self, measured: list[_Measured]) -> bool:
        return all(found.problem is None and found.distance.relative <= self.tolerance.share for found in measured)

    def _measured(self, runtime: str, case: Probe, expected: Reference, got: Arrays) -> list[_Measured]:
        names, measured = self.facts.signature.outputs, []
        for i, (y, other) in enumerate(zip(expected.outputs, got, strict=True)):
            found = distance(expected.part(i, y), expected.part(i, other), self.reached[i])
            problem = mismatch(y, other, self.mode)
            if problem is None and case.judged_for == "numbers":
                problem = _swapped(i, names, expected.outputs, other, self.reached[i])
            if problem is None and case.judged_for == "finite" and not np.isfinite(other[np.isfinite(y)]).all():
                problem = "is not finite where the model's is"
            measured.append(_Measured(runtime, i, found, problem))
        return measured

    def _rounding(self, case: Probe, expected: Reference, measured: list[_Measured]) -> Rounding | None:
        """How far rounding moves the model. It takes more runs of the model only where the tolerance is exceeded."""
        exceeded = any(found.distance.relative > self.tolerance.share for found in measured)
        if not exceeded or self.floor_db is not None or case.judged_for == "finite" or self.tolerance.is_law(case):
            return None

        def measure(outputs: Arrays, others: Arrays) -> list[float]:
            return expected.measure(outputs, others, self.reached)

        return rounding(self.facts, run_model, expected.finite, measure)

    def _check(self, case: Probe, expected: Reference, found: _Measured, rounded: Rounding | None) -> Check:
        max_abs, relative, sqnr_db = found.distance
        limit = self.tolerance.share if rounded is None else self.tolerance.limits(rounded)[found.output]
        floor_db = self.floor_db if case.judged_for == "numbers" else None
        within = relative <= limit if floor_db is None else sqnr_db >= floor_db
        return Check(
            case=case.name,
            runtime=found.runtime,
            output=self.facts.signature.outputs[found.output],
            max_abs=max_abs,
            scale=scale(expected.outputs[found.output]),
            relative=relative,
            sqnr_db=sqnr_db,
            allowed=limit,
            floor_db=floor_db,
            ok=found.problem is None and (within or case.judged_for == "finite"),
            problem=found.problem,
            judged_for=case.judged_for,
            why=widened(rounded, found.output) if rounded is not None and limit > self.tolerance.share else None,
        )


def _why_unusable(case: Probe, expected: Reference) -> str | None:
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
