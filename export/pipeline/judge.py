"""Whether the artifact reproduces its model, and if not, which layer is the first that differs."""

from __future__ import annotations

from dataclasses import replace

from ..model.test_inputs import Probe
from ..report.verify_report import VerifyReport
from ..verification.cases import cases_to_try
from ..verification.diagnosis.expose_outputs import first_divergence
from ..verification.diagnosis.match_tensors import divergence_inside
from ..verification.interface import Artifact
from ..verification.judge_artifact import judge_artifact
from ..verification.trace.trace_layers import TracedModel, inputs_to_trace, traced
from .make import Made, record_and_convert
from .place import Place
from .prepare import Prepared
from .request import Request


def judge(prepared: Prepared, made: Made, request: Request, place: Place) -> VerifyReport:
    """Compare the artifact with the model as given, and where they differ look for the layer."""
    facts, mode = prepared.facts, request.mode
    cases = cases_to_try(facts, made.runners, request.path, prepared.given, mode)
    report = judge_artifact(
        facts,
        request.format,
        place.artifact,
        made.runners,
        cases,
        tolerance=request.options.tolerance,
        mode=mode,
        advisers=request.format.advisers(place.artifact),
    )
    report = replace(report, path=str(request.path), metadata=made.metadata)
    if any(not check.ok for check in report.checks):  # an inconclusive report names its layer, if any
        report = _with_diagnosis(report, prepared, made, request, place, cases)
    return _with_trace(report, prepared, made, request, place, cases) if request.trace else report


def _with_trace(
    report: VerifyReport, prepared: Prepared, made: Made, request: Request, place: Place, cases: list[Probe]
) -> VerifyReport:
    request.say("tracing the layers")
    artifact = Artifact.of(request.path, made.runners, prepared.facts.signature)
    model = TracedModel(prepared.facts, prepared.folded, prepared.fold_report)
    inputs = inputs_to_trace(cases, yours=request.inputs is not None)
    quantized = request.format.quantized_as(place.artifact) is not None
    return replace(report, trace=traced(model, request.format, place.artifact, artifact, inputs, quantized))


def _with_diagnosis(
    report: VerifyReport, prepared: Prepared, made: Made, request: Request, place: Place, cases: list[Probe]
) -> VerifyReport:
    request.say("looking for the layer that diverges")
    layer, loss = None, None
    if request.mode is None:
        layer = first_divergence(
            prepared.folded,
            lambda part, to: record_and_convert(part, request, place, to, made.calibration),
            request.path.suffix,
            prepared.given,
        )
    if layer is None:
        models = [prepared.facts, prepared.folded]
        layer, loss = divergence_inside(models, request.format, place.artifact, report, cases)
    return replace(report, first_divergence=layer, largest_loss=loss)
