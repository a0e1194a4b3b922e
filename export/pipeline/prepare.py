"""The model as it will be exported: loaded, read, folded, with labels and calibration data that fit it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import keras

from ..artifact.metadata import check_labels, last_sizes
from ..errors import ExportError, FoldError
from ..folding.batch_norms import is_batch_norm
from ..folding.equivalence import NoInputFits
from ..folding.fold import FoldResult, fold_or_same
from ..loading.load_model import load_model
from ..loading.signature_model import is_signature
from ..model.facts import ModelFacts
from ..model.keras_graph import layers_of
from ..model.repeated_calls import RepeatedCalls
from ..model.signature import Signature
from ..model.user_inputs import Arrays, NamedArrays
from ..options import Tails
from ..quantization.calibration import calibration_warnings, read_calibration
from ..report.fold_report import FoldReport
from ..verification.cases import given_cases
from ..verification.pieces import in_pieces
from .request import Request


@dataclass(frozen=True)
class Prepared:
    """`facts` are of the model as given, `folded` of what is converted: the same where nothing was folded.

    `batches` is the calibration data that the conversion uses, if any, `calibration` all rows of what was read, and
    `given` all that the artifact is compared on.
    """

    facts: ModelFacts
    folded: ModelFacts
    fold_report: FoldReport | None
    labels: dict[str, list[str]] | None
    batches: list[Arrays]
    calibration: Arrays | None
    given: list[NamedArrays]
    warnings: tuple[str, ...]


def prepare(model: keras.Model | str | os.PathLike[str], request: Request) -> Prepared:
    """Load and fold `model`.

    Raises:
        ExportError: If the model cannot be loaded or read, or if labels, inputs or calibration data do not fit it.
    """
    request.say("loading")
    facts = ModelFacts.of(load_model(model), request.options.batch_size)
    sig = facts.signature
    _check_numbers(sig)
    labels = None if request.labels is None else check_labels(request.labels, sig, last_sizes(facts.model, sig))
    data = None if request.calibration is None else read_calibration(request.calibration, sig, request.say)
    batches = data.batches if data and request.calibrates else []
    rows = data.rows if data else None
    given = given_cases(request.inputs, facts.declared, rows)
    request.say("folding")
    folded, report, warnings = _fold(facts, given, request) if request.options.fold else (facts, None, ())
    warnings += _precision_warning(facts) + calibration_warnings(batches, sig)
    facts = replace(facts, calls=RepeatedCalls(facts.model, facts.declared))
    return Prepared(facts, folded, report, labels, batches, rows, given, warnings)


def folded_for(prepared: Prepared, request: Request) -> Prepared:
    """The same model, folded as another request wants it."""
    if not request.options.fold:
        return prepared
    folded, report, _ = _fold(prepared.facts, prepared.given, request)
    return replace(prepared, folded=folded, fold_report=report)


def _check_numbers(sig: Signature) -> None:
    for spec in sig.inputs:
        if spec.dtype == "string":
            raise ExportError(
                f"Inputs must be numbers; '{spec.name}' takes strings. Leave lookup, hashing and vectorization of text "
                "to the app, and export the model of what they give."
            )


def _fold(
    facts: ModelFacts, given: list[NamedArrays], request: Request
) -> tuple[ModelFacts, FoldReport | None, tuple[str, ...]]:
    """The facts of the folded model, and why nothing was folded where a batch norm stays for that reason."""
    missed = any(is_batch_norm(layer) for layer in layers_of(facts.model))
    if is_signature(facts.model):
        return facts, None, ("nothing was folded: the model is a signature of a SavedModel, and has no layers",)
    if facts.half_weights:
        why = f"nothing was folded: weights are stored in {facts.half_weights}, to which merged ones would be rounded"
        return facts, None, (why,) if missed else ()
    try:
        folded, report = _folded(facts, given, request.format.tails(request.options))
    except FoldError as error:
        return facts, None, (f"nothing was folded: {error}",) if missed else ()
    if not (report.folded or report.tails):
        return facts, report, ()  # a copy would only take memory
    # Its outputs may be called otherwise: the artifact has the names of the model as given.
    return replace(ModelFacts.of(folded), signature=facts.signature), report, ()


def _folded(facts: ModelFacts, given: list[NamedArrays], tails: Tails) -> FoldResult:
    """The fold, compared on random inputs, or on the user's where the model takes no random ones."""
    try:
        return fold_or_same(facts.model, tails=tails)
    except NoInputFits:
        if not given:
            raise
        piece, _ = next(in_pieces(given[0][1], facts.declared.batch, rows=2))
        return fold_or_same(
            facts.model, tails=tails, inputs=keras.tree.pack_sequence_as(facts.declared.structure, piece)
        )


def _precision_warning(facts: ModelFacts) -> tuple[str, ...]:
    if not facts.half_policies:
        return ()
    policies = ", ".join(facts.half_policies)
    return (f"the model computes in {policies}, the artifact in float32; it was compared with the model in float32",)
