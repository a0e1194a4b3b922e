"""What a look inside of an artifact shows: its norms, and what an output hides that is the same for every input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from ...errors import reason_of
from ...formats.protocol import ArtifactReader
from ...model.facts import ModelFacts
from ...model.precision import in_float32
from ...model.test_inputs import Probe
from ...model.user_inputs import Arrays
from ...report.inside import MOVES, Inside
from ...report.verify_report import VerifyReport
from ..interface import Artifact
from ..pieces import in_pieces
from ..recording import Call, has_norms, recording
from ..tolerance import DEFAULT_TOLERANCE, ordinary
from .found_values import Values
from .last_moving import Deep, first_still, last_moving
from .norms import Judged, judge_norms

_ROWS = 3


def look_inside(
    facts: ModelFacts, form: ArtifactReader, path: Path, artifact: Artifact, report: VerifyReport, cases: list[Probe]
) -> VerifyReport:
    """The report with what was seen inside; as it is where there is nothing to see.

    A float32 artifact is looked into if the model has norms, any artifact if an output does not move.
    """
    still = [name for name, share in report.movement.items() if share < MOVES]
    tried = {check.case for check in report.checks if check.judged_for == "numbers"}
    probe = max((c for c in cases if ordinary(c) and c.name in tried), key=_rows, default=None)
    if probe is None or not (still or (report.quantized is None and has_norms(facts.model))):
        return report
    arrays, _ = next(in_pieces(probe.arrays, artifact.batch, _ROWS))
    with in_float32(facts.model):
        calls, outputs = _recorded(facts, arrays)
        norms = report.quantized is None and any(call.norm is not None for call in calls)
        if not (still or norms):
            return report
        try:
            values = Values([value for _, value in form.tensors(path, artifact.feed(arrays))])
        except Exception as error:  # what runs as a whole may not run with every value kept
            if not still:
                return report
            why = f"output '{still[0]}' does not move, and the file cannot be looked into: {reason_of(error)}"
            return replace(report, inside=Inside(unseen=why))
        judged = judge_norms(calls, values) if norms else []
        others = _recorded(facts, [_turned(x) for x in arrays])[0] if still else []
        names = facts.signature.outputs
        moving = [y for name, y in zip(names, outputs, strict=True) if report.movement.get(name, 0.0) >= MOVES]
        deep = last_moving(calls, others, values, moving) if still else []
    return replace(report, inside=_inside(judged, deep, still, first_still(calls, others), report))


def _inside(
    judged: list[Judged], deep: list[Deep], still: list[str], first_same: str | None, report: VerifyReport
) -> Inside:
    floor = min((check.floor_db for check in report.checks if check.floor_db is not None), default=None)
    loose = report.tolerance if report.tolerance > DEFAULT_TOLERANCE else 0.0  # the user's word holds inside too
    wrong = [(n.layer, n.relative) for n in judged if n.relative > max(n.allowed, loose)]
    wrong_deep = [d for d in deep if not _right(d, report.tolerance, floor)]
    off = [(n.layer, n.relative) for n in judged] + [(d.layer, d.found.distance.relative) for d in deep]
    layer, worst = max(off, key=lambda pair: pair[1], default=(None, 0.0))
    unseen = None
    if still and (not deep or wrong_deep):
        hidden = f"; the first layer that gives the same for all is '{first_same}'" if first_same else ""
        if wrong_deep:
            hidden = f"; '{wrong_deep[0].layer}', the last layer whose result moves, is not found in the file"
        unseen = f"output '{still[0]}' is the same for every input that was tried{hidden}"
    return Inside(
        norms=len(judged),
        deepest=tuple(dict.fromkeys(d.layer for d in deep)),
        worst=worst,
        worst_layer=layer,
        problems=tuple(f"'{name}' is off by {share:.1e} of its scale" for name, share in wrong),
        wrong_layer=wrong[0][0] if wrong else None,
        unseen=unseen,
    )


def _right(deep: Deep, tolerance: float, floor: float | None) -> bool:
    found = deep.found.distance
    return found.relative <= tolerance if floor is None else found.sqnr_db >= floor


def _recorded(facts: ModelFacts, arrays: Arrays) -> tuple[list[Call], Arrays]:
    """What the layers gave, and the model."""
    with recording(facts.model) as calls:
        outputs = facts.signature.call(facts.model, arrays)
    return calls, [keras.ops.convert_to_numpy(y) for y in outputs]


def _turned(x: np.ndarray) -> np.ndarray:
    """The same numbers in the opposite order: another input of the same kind."""
    return np.ascontiguousarray(x[tuple(slice(None, None, -1) for _ in x.shape)])


def _rows(case: Probe) -> int:
    return max((len(x) for x in case.arrays if x.ndim), default=0)
