"""The artifact beside the model: what each runtime computes, what rounding may do to it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
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
from ..report.verify_report import Check, VerifyReport
from .cases import record_of
from .interface import Artifact, first_of, fixed_batch, mismatch
from .metrics import Distance, distance
from .reference import Redraws, Reference, narrowed, references
from .tolerance import DEFAULT_TOLERANCE, MOST_MOVED, check_tolerance, limits_of, ordinary


def compare(
    facts: ModelFacts,
    runners: dict[str, Runner],
    path: Path,
    cases: list[Probe],
    *,
    tolerance: float | None = None,
    mode: Mode | None = None,
) -> VerifyReport:
    """Run the model and the artifact at `path`, opened in `runners`, on the inputs of `cases_to_try`.

    Raises:
        ExportError: If `tolerance` is of no use, or if the artifact has other inputs or outputs than the model.
        VerificationError: If a runtime does not run the artifact.
    """
    allowed = check_tolerance(tolerance)
    cases = [case for case in cases if case.judged_for == "numbers"]
    facts = facts.with_batch(fixed_batch(first_of(runners)))
    artifact = Artifact.of(path, runners, facts.signature)
    checks: list[Check] = []
    with in_float32(facts.model):
        expectations, skipped = references(facts, cases)
        floor_db = mode.floor_db if mode and tolerance is None else None
        comparison = _Comparison(facts, artifact, allowed, floor_db, mode, _reached(expectations))
        for case, expected in expectations:
            found, reason = comparison.checks(case, expected)
            checks += found
            skipped += [f"{case.name}: {reason}"] if reason else []
    if not any(ordinary(case) for case in cases if case.name in {check.case for check in checks}):
        checks = []  # zeros or a constant alone prove nothing
    records = tuple(record_of(case, facts.signature) for case in cases)
    name = mode.name if mode else None
    return VerifyReport(str(path), allowed, tuple(checks), tuple(skipped), quantized=name, inputs=records)


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
    allowed: float
    floor_db: float | None
    mode: Mode | None
    reached: list[float]

    def checks(self, case: Probe, expected: Reference) -> tuple[list[Check], str | None]:
        """What came of one input; or nothing, and why it cannot be used to judge the artifact."""
        reason = _why_unusable(case, expected)
        if reason:
            return [], reason
        measured, expected = self._measure(case, expected)
        limits, reason = self._limits(case, expected, measured)
        if reason:
            return [], reason
        return [self._check(case, expected, found, limits[found.output]) for found in measured], None

    def _measure(self, case: Probe, expected: Reference) -> tuple[list[_Measured], Reference]:
        """What every runtime computes, and what the model says in the positions that can be judged."""
        measured: list[_Measured] = []
        redraws = Redraws(self.facts, case)
        for runtime in self.artifact.runners:
            got = self.artifact.run(runtime, case.arrays)
            if expected.judged is not None:
                expected = narrowed(expected, got, redraws)
            measured += self._measured(runtime, expected, got)
        return measured, expected

    def _measured(self, runtime: str, expected: Reference, got: Arrays) -> Iterator[_Measured]:
        names = self.facts.signature.outputs
        for i, (y, other) in enumerate(zip(expected.outputs, got, strict=True)):
            reached = self.reached[i]
            problem = mismatch(y, other, self.mode) or _swapped(i, names, expected.outputs, other, reached)
            yield _Measured(runtime, i, distance(expected.part(i, y), expected.part(i, other), reached), problem)

    def _limits(self, case: Probe, expected: Reference, measured: list[_Measured]) -> tuple[list[float], str | None]:
        """What each output may be off by. It takes more runs of the model only where the tolerance is exceeded."""
        if any(found.distance.relative > self.allowed for found in measured):
            return limits_of(self.facts, case, expected, self.reached, self.allowed)
        return [self.allowed] * len(expected.outputs), None

    def _check(self, case: Probe, expected: Reference, found: _Measured, limit: float) -> Check:
        max_abs, relative, sqnr_db = found.distance
        within = relative <= limit if self.floor_db is None else sqnr_db >= self.floor_db
        return Check(
            case=case.name,
            runtime=found.runtime,
            output=self.facts.signature.outputs[found.output],
            max_abs=max_abs,
            scale=scale(expected.outputs[found.output]),
            relative=relative,
            sqnr_db=sqnr_db,
            allowed=limit,
            floor_db=self.floor_db,
            ok=found.problem is None and within,
            problem=found.problem,
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
    if len(outputs) == 1 or distance(outputs[i], got, reached).relative < MOST_MOVED:  # rounding alone may be alike
        return None
    others = (name for k, name in enumerate(names) if k != i and _same(outputs[k], outputs[i], got))
    twin = next(others, None)
    return None if twin is None else f"has what '{twin}' should have"


def _same(other: np.ndarray, own: np.ndarray, got: np.ndarray) -> bool:
    """Whether `got` is `other` and not `own`."""
    return distance(other, got, 0.0).relative <= DEFAULT_TOLERANCE < distance(other, own, 0.0).relative
