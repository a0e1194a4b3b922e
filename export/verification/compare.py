"""The artifact beside the model, input by input."""

from __future__ import annotations

from pathlib import Path

from ..formats.protocol import Runner
from ..model.facts import ModelFacts
from ..model.precision import in_float32
from ..model.test_inputs import Probe
from ..quantization.modes import Mode
from ..report.check import Check
from ..report.verify_report import VerifyReport
from .advice import advice
from .agreement import Agreement
from .cases import record_of
from .compare_input import Comparison, why_unusable
from .interface import Artifact, first_of, fixed_batch
from .movement import movements
from .output_scales import OutputScales
from .reference import references
from .tolerance import Tolerance, ordinary


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
        comparison = Comparison(facts, artifact, allowed, mode, OutputScales.among(expectations))
        usable = [case.arrays for case, expected in expectations if not why_unusable(case, expected)]
        agreement = Agreement(artifact)
        runs = agreement.watched(artifact.run_all(usable))
        wrong: set[str] = set()
        for case, expected in expectations:
            found, reasons = comparison.checks(case, expected, runs, wrong)
            checks += found
            wrong |= {check.output for check in found if not check.ok}
            skipped += [f"{case.name}{reason}" for reason in reasons]
        told = advice(artifact, advisers or {}, expectations, comparison.scales, allowed.share, mode)
    ordinary_ones = {case.name for case in cases if ordinary(case)}
    compared = {(check.case, check.output) for check in checks if check.judged_for == "numbers"}
    told_by = {output for case, output in compared if case in ordinary_ones}
    return VerifyReport(
        str(path),
        allowed.share,
        tuple(checks),
        tuple(skipped),
        quantized=mode.name if mode else None,
        inputs=tuple(record_of(case, facts.signature) for case in cases),
        advice=told,
        agreement=agreement.found(next(iter(runners))),
        movement=movements(expectations, facts.signature.outputs, compared),
        # zeros or a constant alone prove nothing
        undecided=tuple(name for name in facts.signature.outputs if name not in told_by),
    )
