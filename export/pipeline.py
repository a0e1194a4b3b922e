"""From a model to a verified artifact: load, fold, trace, convert, verify, and only then put the file in its place."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .artifact.atomic_write import check_writable, placing
from .artifact.hashes import array_sha256
from .artifact.metadata import Labels, check_labels, entries, last_sizes
from .errors import ExportError, FoldError, VerificationError
from .folding.batch_norms import is_batch_norm
from .folding.fold import fold as fold_model
from .formats import target_of
from .formats.tflite.delegates.lint import xnnpack
from .loading.load_model import load_model
from .model.keras_graph import layers_below, layers_of
from .model.precision import half_policies, half_weights
from .model.signature import Signature, signature
from .model.test_inputs import Arrays
from .progress import Progress, silent
from .quantization.modes import calibration_batches, calibration_warnings, check_mode, save_batches
from .report.export_report import ExportReport
from .report.fold_report import FoldReport
from .report.verify_report import VerifyReport
from .saved_model.remote import trace_in_child
from .verification.certificate import Certificate, certificate_path, write_certificate
from .verification.diagnosis.expose_outputs import first_divergence
from .verification.diagnosis.match_tensors import divergence_inside
from .verification.verify import cases_to_try, check_tolerance, compare
from .worker.client import start_child

_JUDGED_EXAMPLES = 32


def export(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    suffix: str,
    *,
    batch_size: int | None,
    fold: bool,
    tolerance: float | None,
    labels: Labels | None,
    certificate: bool,
    progress: Progress | None,
    **options: Any,
) -> ExportReport:
    if not isinstance(path, (str, os.PathLike)):
        raise ExportError(f"path must be a string or a pathlib.Path; got {type(path).__name__}.")
    path = Path(path)
    if path.suffix != suffix:
        raise ExportError(f"The output must end in {suffix}; got '{path.name}'. Rename the output.")
    say = progress or silent
    target = target_of(path)
    mode = check_mode(options["quantize"], options["calibration"], target.MODES, target.NAME)
    target.check(options)
    check_tolerance(tolerance)
    check_writable(path)
    if certificate:
        check_writable(certificate_path(path))
        Certificate.beside(path)  # refuses to write over what is none
    asked = {"batch_size": batch_size, "fold": fold, "tolerance": tolerance, **options}
    start_child(target.CONVERTER)
    say("loading")
    model = load_model(model)
    sig = signature(model, batch_size)
    _check_numbers(sig)
    label_lists = check_labels(labels, sig, last_sizes(model, sig)) if labels is not None else None
    calibrated = mode is not None and mode.name in target.CALIBRATED and options["calibration"] is not None
    batches = calibration_batches(options["calibration"], sig, say) if calibrated else []
    say("folding")
    folded, fold_report, warnings = _fold(model) if fold else (model, None, ())
    warnings += _precision_warning(model) + calibration_warnings(batches, sig)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keras-norms-")))
        # What is entered last is put in its place first: the artifact, then its certificate.
        written = stack.enter_context(placing(certificate_path(path))) if certificate else None
        partial = stack.enter_context(placing(path))
        options["calibration"] = save_batches(batches, work / "calibration.npz") if batches else None
        metadata = entries(model, sig, fold_report, label_lists)
        try:
            warnings += _make(folded, sig, target, partial, work, options, say)
            target.write_metadata(partial, metadata)
            say("verifying")
            runners = target.runners(partial)
        except ExportError as error:
            raise _in_doubles(model, target, error) from error
        cases = cases_to_try(model, runners, path, _examples(batches), mode)
        verification = compare(model, runners, path, cases, tolerance=tolerance, mode=mode)
        verification = replace(verification, metadata=metadata)
        if not verification.ok:
            say("looking for the layer that diverges")
            layer = None
            if mode is None:
                layer = first_divergence(
                    folded, lambda part, to: _make(part, signature(part), target, to, work, options), suffix
                )
            loss = None
            if layer is None:
                layer, loss = divergence_inside([model, folded], target, partial, verification, cases)
            verification = replace(verification, first_divergence=layer, largest_loss=loss)
        if not verification.ok:
            raise VerificationError(
                f"'{path}' was not written: the {target.NAME} file does not reproduce its model. "
                f"{verification.failure()}"
            )
        if mode and target.quantized_as(partial) is None:
            warnings += (f"nothing was quantized: the converter found no weights large enough for '{mode.name}'",)
        if written is None and certificate_path(path).is_file():
            warnings += (f"'{certificate_path(path)}' is the certificate of the file that was there before",)
        report = _report(path, partial, target, fold_report, verification, warnings)
        if suffix == ".tflite" and not options.get("allow_flex"):
            names = {layer.name for layer in layers_below(model)}
            report = replace(report, xnnpack=xnnpack(partial, names))
        if written is not None:
            report = replace(report, certificate=certificate_path(path))
            write_certificate(written, partial, model, report, _options(asked, label_lists, batches))
    return report


def _check_numbers(sig: Signature) -> None:
    for spec in sig.inputs:
        if spec.dtype == "string":
            raise ExportError(
                f"Inputs must be numbers; '{spec.name}' takes strings. Leave lookup, hashing and vectorization of text "
                "to the app, and export the model of what they give."
            )


def _options(asked: dict[str, Any], labels: dict[str, list[str]] | None, batches: list[Arrays]) -> dict[str, Any]:
    """The options of an export as plain data, with calibration data by its hash."""
    plain = {name: value for name, value in asked.items() if name != "calibration"}
    if batches:
        arrays = [np.concatenate(batch) for batch in zip(*batches, strict=True)]
        plain["calibration"] = [{"shape": list(a.shape), "sha256": array_sha256(a)} for a in arrays]
    return {**plain, "labels": labels}


def _fold(model: keras.Model) -> tuple[keras.Model, FoldReport | None, tuple[str, ...]]:
    missed = any(is_batch_norm(layer) for layer in layers_of(model))
    if stored := half_weights(model):
        why = f"nothing was folded: weights are stored in {stored}, to which merged ones would be rounded"
        return model, None, (why,) if missed else ()
    try:
        folded, report = fold_model(model)
    except FoldError as error:
        return model, None, (f"nothing was folded: {error}",) if missed else ()
    return folded if report.folded else model, report, ()  # a copy would only take memory


def _in_doubles(model: keras.Model, target: Any, error: ExportError) -> ExportError:
    """The error, or what is behind it where a model of float64 failed."""
    doubles = [layer.name for layer in layers_below(model) if layer.compute_dtype == "float64"]
    if not doubles:
        return error
    return ExportError(
        f"{target.NAME}'s runtimes lack kernels for float64, in which the model computes (first in '{doubles[0]}'). "
        "Build it with dtype='float32' and give it the same weights."
    )


def _precision_warning(model: keras.Model) -> tuple[str, ...]:
    policies = ", ".join(half_policies(model))
    if not policies:
        return ()
    return (f"the model computes in {policies}, the artifact in float32; it was compared with the model in float32",)


def _examples(batches: list[Arrays]) -> Any:
    """The part of the calibration data that the quantized artifact is judged on."""
    if not batches:
        return None
    return [[np.concatenate(arrays) for arrays in zip(*batches[:_JUDGED_EXAMPLES], strict=True)]]


def _make(
    model: keras.Model,
    sig: Signature,
    target: Any,
    path: Path,
    work: Path,
    options: dict[str, Any],
    say: Progress | None = None,
) -> tuple[str, ...]:
    half, say = options.get("target") == "gpu", say or silent
    say("tracing")
    saved_model = Path(tempfile.mkdtemp(dir=work))
    if keras.backend.backend() == "tensorflow":
        from .saved_model.record import trace

        trace(model, saved_model, sig, target.CHANNELS_FIRST, half)
    else:
        trace_in_child(model, saved_model, sig, target.CHANNELS_FIRST, half, work)
    say("calibrating and converting" if options.get("calibration") else "converting")
    layers = {layer.name for layer in layers_below(model)}
    return target.convert(saved_model, path, sig, {**options, "layers": layers, "model": model, "progress": say}) or ()


def _report(
    path: Path,
    partial: Path,
    target: Any,
    fold: FoldReport | None,
    verification: VerifyReport,
    warnings: tuple[str, ...],
) -> ExportReport:
    size = sum(file.stat().st_size for file in partial.parent.iterdir())  # with weights that lie beside it
    ops = target.op_counts(partial)
    return ExportReport(path, target.NAME, size, ops, fold, verification, warnings)
