"""Compare an artifact with the model it was made from, in the runtimes that its users have.

An error is taken relative to the output's own scale, max |y|.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from ..artifact.metadata import read_metadata
from ..artifact.metadata_keys import FOLDED, QUANTIZED
from ..errors import ExportError, FoldError
from ..folding.fold import fold
from ..formats.isolated import isolated_reader
from ..loading.load_model import load_model
from ..model.facts import ModelFacts
from ..quantization.budget import AUTO
from ..quantization.modes import MODES
from ..report.fold_report import FoldReport
from ..report.verify_report import VerifyReport
from .cases import cases_to_try, given_cases
from .certificate import Certificate
from .diagnosis.match_tensors import divergence_inside
from .interface import Artifact, check_names
from .judge_artifact import judge_artifact
from .trace.trace_layers import TracedModel, inputs_to_trace, traced


def verify(
    model: keras.Model | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    inputs: Any = None,
    tolerance: float | None = None,
    trace: bool = False,
) -> VerifyReport:
    """Run `model` and the artifact at `path` on the same inputs and return how far apart they are.

    The artifact runs in each runtime a user may have (LiteRT with and without XNNPACK; ONNX Runtime with and without
    graph optimizations) on random inputs, on zeros, constants, tiny and shifted numbers, on one infinity, and on
    `inputs`. Norms, and what an output hides that never moves, are compared inside the file. A certificate that lies
    beside the artifact is checked too (`report.certificate`): a float32 artifact is as far off as it was, a quantized
    one loses at most 3 dB of its signal to noise ratio.

    Args:
        model: the Keras model, or the path of one.
        path: a `.tflite` or `.onnx` file.
        inputs: an array, a list or dict of arrays, an .npz file, or an iterable of batches of these. Every row is
            compared, as many at a time as the file fixes; free sizes of the inputs that are drawn are as in these.
        tolerance: the largest error allowed, as a share of the output's max |y|: the law on random inputs and on
            `inputs`. If None, 1e-4 for a float32 file, or 8 times what rounding does to the model itself; a quantized
            one is held to the signal to noise ratio of its mode, on `inputs` alone if it was calibrated. Without
            `inputs` a calibrated one is held to it on random numbers, or with a certificate to what it had there.
        trace: also measure every layer's error in the file, on `inputs`, else on random numbers: `report.trace`.

    Raises:
        ExportError: If the file is missing or cannot be run, if `inputs` do not fit the model, or if the file takes or
            returns something other than the model does.
        VerificationError: If a runtime opens the file and does not run it.

    Example:
        >>> verify("model.keras", "model.tflite").ok  # doctest: +SKIP
        True
    """
    path = Path(path)
    form = isolated_reader(path)  # the file may come from anywhere
    if not path.is_file():
        raise ExportError(f"There is no artifact '{path}'. Export the model first.")
    facts = ModelFacts.of(load_model(model))  # the process that runs the file starts meanwhile
    runners = form.runners(path)
    quantized = form.quantized_as(path)
    metadata = read_metadata(form, path)
    mode = None if quantized is None else MODES[AUTO if metadata.get(QUANTIZED) == AUTO else quantized]
    certificate = Certificate.beside(path)
    if mode is not None and mode.calibrated and inputs is None and certificate is not None:
        mode = certificate.held(mode, path)
    check_names(facts.declared, runners, path, metadata)
    cases = cases_to_try(facts, runners, path, given_cases(inputs, facts.declared), mode)
    report = judge_artifact(facts, form, path, runners, cases, tolerance=tolerance, mode=mode)
    report = replace(report, metadata=metadata)
    if any(not check.ok for check in report.checks):  # an inconclusive report names its layer, if any
        layer, loss = divergence_inside([facts, *_folded(facts)[:1]], form, path, report, cases)
        report = replace(report, first_divergence=layer, largest_loss=loss)
    if trace:
        converted, folds = _folded(facts) if metadata.get(FOLDED, "0") != "0" else (facts, None)
        artifact = Artifact.of(path, runners, facts.signature)
        told = inputs_to_trace(cases, yours=True)
        found = traced(TracedModel(facts, converted, folds), form, path, artifact, told, quantized is not None)
        report = replace(report, trace=found)
    return (
        report if certificate is None else replace(report, certificate=certificate.recheck(facts.model, path, report))
    )


def _folded(facts: ModelFacts) -> tuple[ModelFacts, FoldReport | None]:
    try:
        result = fold(facts.model)
    except FoldError:
        return facts, None
    return ModelFacts.of(result.model), result.report
