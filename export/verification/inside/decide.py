"""Outputs of which no ordinary input tells anything at the end of the model: judged layer by layer, or named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...formats.protocol import ArtifactReader
from ...model.facts import ModelFacts
from ...model.precision import in_float32, in_float64
from ...model.relative_error import absolute_errors, largest, relative, scale
from ...model.test_inputs import Probe
from ...model.user_inputs import Arrays
from ...report.check import Check
from ...report.verify_report import VerifyReport
from ..interface import Artifact
from ..metrics import distance
from ..pieces import in_pieces
from ..recording import recording
from ..tolerance import MOST_OFF, ordinary
from .found_values import Values
from .layer_by_layer import Expected, layer_by_layer

_ROWS = 3
_WHY = "rounding moves it too far, so each layer was computed from what the file has before it"


def decide_inside(
    facts: ModelFacts, form: ArtifactReader, path: Path, artifact: Artifact, report: VerifyReport, cases: list[Probe]
) -> VerifyReport:
    """The report with a check of each undecided output on every ordinary input, if all of them are right.

    If not, none is added: that the layers are not found in a file does not say that it is wrong. Then the report names
    the first layer whose result rounding alone changes.
    """
    asked = [case for case in cases if ordinary(case)]
    pieces = [(case, next(in_pieces(case.arrays, artifact.batch, _ROWS))[0]) for case in asked]
    found: list[Check] = []
    with in_float32(facts.model):
        try:
            for case, arrays in pieces:
                found += _checks(facts, form, path, artifact, report, case, arrays)
        except Exception:  # a layer without float64, or a file that does not run with every value kept
            found = []
        if found and all(check.ok for check in found):
            return replace(report, checks=(*report.checks, *found), undecided=())
        return replace(report, unstable_layer=_unstable(facts, pieces[0][1]) if pieces else None)


def _checks(
    facts: ModelFacts,
    form: ArtifactReader,
    path: Path,
    artifact: Artifact,
    report: VerifyReport,
    case: Probe,
    arrays: Arrays,
) -> list[Check]:
    values = Values([value for _, value in form.tensors(path, artifact.feed(arrays))])
    expected = layer_by_layer(facts, arrays, values)
    results = list(next(artifact.run_all([arrays])).items())
    found: list[Check] = []
    for i, name in enumerate(facts.signature.outputs):
        if name in report.undecided:
            checks = [_check(case, name, f"{on}, layer by layer", expected[i], y[i], report) for on, y in results]
            # Where nothing but rounding is left, every runtime must agree. A chaotic model answers otherwise in each,
            # so one is enough: `compare` has held all of them to 8 times what rounding does.
            noise = expected[i].slack > report.tolerance * scale(expected[i].value)
            found += checks if noise else [min(checks, key=lambda check: check.relative)]
    return found


def _check(case: Probe, name: str, runtime: str, expected: Expected, y: np.ndarray, report: VerifyReport) -> Check:
    reach = max(scale(expected.value), expected.slack / report.tolerance)
    off = largest(absolute_errors(expected.value, y)) if expected.value.shape == y.shape else np.inf
    share = relative(off, reach)
    return Check(
        case=case.name,
        runtime=runtime,
        output=name,
        max_abs=off,
        scale=scale(expected.value),
        relative=share,
        sqnr_db=distance(expected.value, y, 0.0).sqnr_db,
        allowed=report.tolerance,
        floor_db=None,
        ok=share <= report.tolerance,
        why=_WHY,
    )


def _unstable(facts: ModelFacts, arrays: Arrays) -> str | None:
    """The first layer whose result in float32 is another one than in float64, or None if that cannot be told."""
    wide = [x.astype("float64") if x.dtype.kind == "f" else x for x in arrays]
    try:
        with recording(facts.model) as single:
            facts.signature.call(facts.model, arrays)
        with in_float64(facts.model), recording(facts.model) as double:
            facts.signature.call(facts.model, wide)
    except Exception:  # a layer without float64, or that takes no such input: each backend raises kinds of its own
        return None
    for one, other in zip(single, double, strict=False):
        pairs = zip(one.outputs, other.outputs, strict=False)
        if one.whole and any(distance(exact, y, 0.0).relative > MOST_OFF for y, exact in pairs):
            return one.layer
    return None
