"""The whole judgement of an artifact: its outputs, a look inside, and how far from zero it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..formats.protocol import ArtifactReader, Runner
from ..model.facts import ModelFacts
from ..model.repeated_calls import RepeatedCalls
from ..model.test_inputs import Probe
from ..quantization.modes import Mode
from ..report.verify_report import VerifyReport
from .compare import compare
from .inside.decide import decide_inside
from .inside.look import look_inside
from .interface import Artifact
from .reach import reach
from .recording import has_norms
from .tolerance import ordinary


def judge_artifact(
    facts: ModelFacts,
    form: ArtifactReader,
    path: Path,
    runners: dict[str, Runner],
    cases: list[Probe],
    *,
    tolerance: float | None = None,
    mode: Mode | None = None,
    advisers: dict[str, Runner] | None = None,
) -> VerifyReport:
    """Compare the artifact at `path` with the model; where its outputs are right, or tell nothing, look inside too.

    Raises:
        ExportError: If `tolerance` is of no use, or if the artifact has other inputs or outputs than the model.
        VerificationError: If a runtime does not run the artifact.
    """
    facts = replace(facts, calls=facts.calls or RepeatedCalls(facts.model, facts.declared))
    report = compare(facts, runners, path, cases, tolerance=tolerance, mode=mode, advisers=advisers)
    if not all(check.ok for check in report.checks):
        return report
    artifact = Artifact.of(path, runners, facts.signature)
    facts = facts.with_batch(artifact.batch)
    if report.undecided and mode is None:
        report = decide_inside(facts, form, path, artifact, report, cases)
    if not report.ok:
        return report
    report = look_inside(facts, form, path, artifact, report, cases)
    if mode is None and has_norms(facts.model):
        probe = next(case for case in cases if ordinary(case))
        report = replace(report, reach=reach(facts, artifact, probe, report.tolerance))
    wrong = report.inside.wrong_layer if report.inside else None
    return replace(report, first_divergence=wrong) if wrong else report
