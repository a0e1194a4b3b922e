"""How far every layer's result in a file is from the model's, in the order in which the model runs.

What was folded is compared with the folded model, whose layers have the names that the user gave.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import ExportError, VerificationError, reason_of
from ...formats.protocol import ArtifactReader
from ...loading.signature_model import is_signature
from ...model.facts import ModelFacts
from ...model.test_inputs import Probe
from ...model.user_inputs import Arrays
from ...report.fold_report import FoldReport
from ...report.layer_trace import LayerError, LayerTrace
from ..diagnosis.ignored_failure import RAISE
from ..interface import Artifact
from ..tolerance import ordinary
from .call_errors import CallErrors, numbered, same_result
from .recorded import Recorded, record_all
from .tensor_search import TensorSearch
from .worst_drop import worst_drop

_RUNTIMES = {".tflite": "LiteRT's builtin kernels", ".onnx": "ONNX Runtime, not optimized"}
_SAME = 80.0  # dB
_STRETCHED = "up to scale and offset of each channel"
_GONE = "not in the folded model"


@dataclass(frozen=True)
class TracedModel:
    """A model as given, as it was converted, which is folded if it could be, and what the fold did."""

    given: ModelFacts
    converted: ModelFacts
    folds: FoldReport | None = None


@dataclass(frozen=True)
class TracedInputs:
    """The inputs, all rows of them, and what a report calls them."""

    arrays: Arrays
    name: str


def traced(
    model: TracedModel, form: ArtifactReader, path: Path, artifact: Artifact, inputs: TracedInputs, quantized: bool
) -> LayerTrace:
    """`trace_layers`, or a trace that says why there is none: looking into a file must not cost a user that file."""
    try:
        return trace_layers(model, form, path, artifact, inputs, quantized)
    except (ExportError, VerificationError) as error:
        problem = str(error)
    except Exception as error:  # each runtime has exceptions of its own
        if os.environ.get(RAISE):
            raise
        problem = f"the file does not run with every value kept: {reason_of(error)}"
    return LayerTrace(artifact.path.name, inputs.name, _RUNTIMES[path.suffix], (), problem=problem)


def inputs_to_trace(cases: Sequence[Probe], *, yours: bool) -> TracedInputs:
    """The user's inputs, if there are any (`yours`), else the calibration data, else random numbers."""
    given = [case for case in cases if case.given]
    if given:
        return TracedInputs(given[0].arrays, "your inputs" if yours else "the calibration data")
    drawn = max((case for case in cases if ordinary(case)), key=lambda case: max(map(len, _cut(case)), default=0))
    return TracedInputs(drawn.arrays, "random inputs")


def _cut(case: Probe) -> Arrays:
    return [x for x in case.arrays if x.ndim]


def trace_layers(
    model: TracedModel, form: ArtifactReader, path: Path, artifact: Artifact, inputs: TracedInputs, quantized: bool
) -> LayerTrace:
    """The trace of the artifact at `path` on the first rows of `inputs`.

    Raises:
        ExportError: If the model has no layers that could be traced.
        Exception: If the file does not run with every value kept; each runtime has exceptions of its own.
    """
    if is_signature(model.given.model):
        raise ExportError("the model is a signature of a SavedModel, which has no layers")
    recorded = record_all(model.given, model.converted, form, path, artifact, inputs.arrays)
    if not any(call.whole for call in recorded.given.calls):
        raise ExportError("the model calls no layer and no operation")
    graph = recorded.converted
    search = TensorSearch.of(
        recorded.values,
        [*recorded.inputs, *(y for results in (*graph.results, *graph.fed) for y in results)],
        {call.layer for call in (*recorded.given.calls, *graph.calls)},
        quantized=quantized,
    )
    layers = _layers(recorded, CallErrors(graph, search, recorded.handed), _folded_away(model.folds))
    names = form.operation_names(path)
    layers = [replace(layer, operations=tuple(names[t] for t in layer.tensors if t in names)) for layer in layers]
    data = f"{inputs.name}, {recorded.rows} {'row' if recorded.rows == 1 else 'rows'}"
    return LayerTrace(artifact.path.name, data, _RUNTIMES[path.suffix], tuple(layers), worst_drop(layers))


def _layers(recorded: Recorded, errors: CallErrors, folded: dict[str, str]) -> list[LayerError]:
    """A record for each call of the model as given."""
    graph, given = errors.graph, recorded.given
    theirs, ours = (numbered(calls, lambda call: call.path)[0] for calls in (graph.calls, given.calls))
    place = {(call.path, theirs[i]): i for i, call in enumerate(graph.calls) if call.whole}
    known = {call.path for call in given.calls if call.whole}
    layers = []
    for call, number, results in zip(given.calls, ours, given.results, strict=True):
        if not call.whole:
            continue
        i = place.get((call.path, number))
        record = LayerError(call.path, call.kind, number, note=folded.get(call.path, ""))
        if i is None and not record.note and results:  # of a layer that the fold has opened, what its last part gives
            i = same_result(results[0], graph.results, _SAME)
        if i is not None:
            record = _measured(record, errors, i, known)
        layers.append(record if record.sqnr_db is not None or record.note else replace(record, note=_GONE))
    return layers


def _measured(record: LayerError, errors: CallErrors, i: int, known: Collection[str]) -> LayerError:
    worst, before = errors.worst(i), errors.before(i)
    if worst is None:
        return replace(record, note=record.note or errors.why_not(i, known))
    return replace(
        record,
        sqnr_db=worst.distance.sqnr_db,
        relative=worst.distance.relative,
        before_db=None if before == float("inf") else before,
        tensors=tuple(dict.fromkeys(found.tensor for found in errors.found[i] if found)),
        note="; ".join(filter(None, [record.note, _STRETCHED if worst.stretched else ""])),
    )


def _folded_away(report: FoldReport | None) -> dict[str, str]:
    """What became of each norm that the fold took away."""
    if report is None:
        return {}
    return {fold.norm: f"folded into {', '.join(map(repr, fold.into))}" for fold in report.folded}
