"""Where a given artifact goes wrong: layers' outputs are looked for among the values between its operations.

A converter merges layers, so many outputs stand nowhere in the file. But a layer is right when its output is found, or
when that of a layer further on that depends on it is; the first layer of which neither holds is where the fault begins.

How near the nearest value is, is told in dB: in a float32 file by the largest error, in a quantized one by the noise.
Noise grows from layer to layer, so two layers are named there: the first below what is asked, and the one that loses
most.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...formats.protocol import ArtifactReader
from ...model.facts import ModelFacts
from ...model.keras_graph import layers_below
from ...model.precision import in_float32
from ...model.relative_error import scale
from ...model.test_inputs import INFINITE, Probe
from ...model.user_inputs import Arrays
from ...report.check import Check
from ...report.verify_report import Loss, VerifyReport
from ..inside.found_values import in_order, layouts, unstretched
from ..interface import Artifact, first_of, fixed_batch
from ..metrics import distance
from ..pieces import in_pieces
from ..recording import Call, recording
from .ignored_failure import failure_ignored

_SAME = 1e-4
_CAP = 100.0  # dB: nearer is the same
_PLENTY = 20.0  # dB above what is asked: a loss beyond that harms nobody


@dataclass(frozen=True)
class _Ruler:
    """Measures how near a value is to a layer's output, in dB; `least` is the smallest figure that counts as right."""

    least: float
    by_noise: bool

    @classmethod
    def of(cls, check: Check, quantized: str | None) -> _Ruler:
        if quantized is None:
            return cls(-20 * np.log10(_SAME), False)
        if check.floor_db is None:
            return cls(-20 * np.log10(check.allowed), False)
        return cls(check.floor_db, True)

    def nearness(self, y: np.ndarray, other: np.ndarray) -> float:
        found = distance(y, other, 0.0)
        return min(_CAP, found.sqnr_db if self.by_noise else float(-20 * np.log10(max(found.relative, 1e-30))))


def divergence_inside(
    models: list[ModelFacts], form: ArtifactReader, path: Path, report: VerifyReport, tried: list[Probe]
) -> tuple[str | None, Loss | None]:
    """The first layer whose output the file at `path` does not compute, or None if that cannot be told; for a quantized
    file also the layer that loses most.

    `models` compute the same: a layer that was folded differently in one of them may be found by way of another.
    """
    failed = {check.case: check for check in report.checks if not check.ok}
    probe = next((probe for probe in tried if probe.name in failed and probe.name != INFINITE), None)
    if probe is None:
        return None, None
    found: list[tuple[str | None, Loss | None]] = []
    with failure_ignored():  # the artifact is broken: whatever else is wrong with it must not hide that
        check = failed[probe.name]
        piece = _worst_piece(models[0], form, path, check.runtime, probe.arrays)
        values = _values_inside(models[0], form, path, piece)
        ruler = _Ruler.of(check, report.quantized)
        found = [_first_wrong(_record(facts, piece), values, ruler) for facts in models]
    order = [layer.name for layer in layers_below(models[0].model)]
    known = [(layer, loss) for layer, loss in found if layer in order]
    # A search that goes wrong stops too early, at a layer that was merged away.
    return max(known, key=lambda pair: order.index(str(pair[0])), default=(None, None))


def _worst_piece(facts: ModelFacts, form: ArtifactReader, path: Path, runtime: str, arrays: Arrays) -> Arrays:
    """Of the rows, as many as the artifact runs at a time: those for which it is furthest from the model."""
    runners = form.runners(path)
    batch = fixed_batch(first_of(runners))
    pieces = [piece for piece, _ in in_pieces(arrays, batch)]
    if len(pieces) == 1:
        return pieces[0]
    artifact = Artifact.of(path, runners, facts.signature)

    def error(piece: Arrays) -> float:
        outputs = [keras.ops.convert_to_numpy(y) for y in facts.declared.call(facts.model, piece)]
        pairs = zip(outputs, artifact.run(runtime, piece), strict=True)
        return max(distance(y, other, 0.0).relative for y, other in pairs)

    with in_float32(facts.model):
        return max(pieces, key=error)


def _values_inside(facts: ModelFacts, form: ArtifactReader, path: Path, arrays: Arrays) -> Arrays:
    """What the operations of the artifact compute from an input."""
    names = [spec.name for spec in first_of(form.runners(path)).inputs]
    ours = [spec.name for spec in facts.declared.inputs]
    names = ours if set(names) == set(ours) else names
    return [value for _, value in form.tensors(path, dict(zip(names, arrays, strict=True)))]


def _record(facts: ModelFacts, arrays: Arrays) -> list[Call]:
    with in_float32(facts.model), recording(facts.model) as calls:
        facts.declared.call(facts.model, arrays)
    return calls


def _first_wrong(calls: list[Call], values: Arrays, ruler: _Ruler) -> tuple[str | None, Loss | None]:
    """The first call that is neither found among `values` nor taken by a right one, and the one that loses most."""
    by_size: dict[int, list[np.ndarray]] = {}
    for value in values:
        by_size.setdefault(value.size, []).append(value.ravel())
    near = [-np.inf] * len(calls)
    for i in reversed(range(len(calls))):
        call = calls[i]
        if call.outputs and (ruler.by_noise or near[i] < ruler.least):
            users = [other for other in calls[i + 1 :] if i in other.takes]
            stretched = ruler.by_noise and bool(users) and all(user.is_norm for user in users)
            found = [_nearest(y, by_size.get(y.size, []), ruler, stretched) for y in call.outputs]
            near[i] = max(near[i], min(found))
        for taken in call.takes:
            near[taken] = max(near[taken], near[i])
    wrong = [call for call, found in zip(calls, near, strict=True) if call.outputs and found < ruler.least]
    # Where no layer is wrong, each one's output is computed, and then something else is handed out.
    named = [call.layer for call in wrong if call.whole] or [call.layer for call in calls[::-1] if call.whole]
    first = named[0] if named else None
    return first, _largest_loss(calls, near, ruler.least) if ruler.by_noise else None


def _nearest(y: np.ndarray, values: Arrays, ruler: _Ruler, stretched: bool) -> float:
    """How near the nearest of `values` is. Where it may be `stretched`, each channel counts up to scale and offset:
    that is what int8 changes between a convolution and the norm that takes it back."""
    if not scale(y):  # zeros look like any other zeros
        return _CAP
    near = [ruler.nearness(in_order(y, order), value) for order in layouts(y) for value in values]
    if stretched:
        near += [ruler.nearness(y, unstretched(value.reshape(y.shape), y)) for value in values]
    return max(near, default=-np.inf)


def _largest_loss(calls: list[Call], near: list[float], least: float) -> Loss | None:
    """Where the noise grows most, in dB, from what a layer takes to what it gives."""
    losses = []
    for call, after in zip(calls, near, strict=True):
        before = min((near[i] for i in call.takes), default=_CAP)
        if call.outputs and np.isfinite(after):
            losses.append(Loss(call.layer, before, after))
    highest = least + _PLENTY
    return max(losses, key=lambda loss: min(loss.before_db, highest) - min(loss.after_db, highest), default=None)
