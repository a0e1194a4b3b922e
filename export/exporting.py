"""From a model to a verified artifact: load, fold, trace, convert, verify, and only then put the file in its place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .errors import ExportError, FoldError, VerificationError
from .fold import fold as fold_model
from .handover import trace_in_child
from .loading import load_model
from .locating import first_divergence
from .placing import check_writable, placing
from .precision import half_policies
from .probes import Arrays
from .quantization import calibration_batches, check_mode, save_batches
from .report.export import ExportReport
from .report.fold import FoldReport
from .report.verify import VerifyReport
from .signature import Signature, signature
from .targets import target_of
from .verify import check_tolerance, compare

Progress = Callable[[str], None]
_JUDGED_EXAMPLES = 32


def to_tflite(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    *,
    quantize: str | None = None,
    calibration: Any = None,
    batch_size: int | None = None,
    fold: bool = True,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `model` as a TFLite (LiteRT) file that is proven to reproduce it, or write nothing.

    Batch norms are folded, other norms become few static operations, only builtin operations are used, inputs and
    outputs keep Keras' names and order.

    Args:
        model: a Keras model, or the path of one (`.keras`, legacy `.h5`). It is not changed.
        path: where to write; must end in `.tflite`. A file that is there is replaced only by a verified one.
        quantize: None for float32; "float16" (weights), "dynamic" (8-bit weights, activations as they come), "int8"
            or "int16x8" (activations too, by calibration). Norms stay in float in "int8".
        calibration: typical inputs for "int8" and "int16x8"; an array, a list or dict of arrays, or an iterable of
            batches of these.
        batch_size: fixes the batch dimension; None leaves it free.
        fold: merge batch norms into their neighbours first.
        tolerance: the largest error allowed, as a share of each output's max |y|. If None, 1e-4 in float32, and in a
            quantized file the signal to noise ratio of the mode in `quantization.MODES`.
        progress: called with the name of each stage as it begins.

    Raises:
        ExportError: the model, the path or an option is of no use; the message says which and what to do.
        VerificationError: the file that came out does not reproduce the model; it was not written.

    Example:
        >>> import keras
        >>> from keras_norms.export import to_tflite
        >>> conv, norm = keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm])
        >>> report = to_tflite(model, "model.tflite")  # doctest: +SKIP
        >>> report.ops, report.verification.relative < 1e-4  # doctest: +SKIP
        ({'CONV_2D': 1}, True)
    """
    return _export(
        model,
        path,
        ".tflite",
        batch_size=batch_size,
        fold=fold,
        tolerance=tolerance,
        progress=progress,
        quantize=quantize,
        calibration=calibration,
    )


def to_onnx(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    *,
    opset: int | None = None,
    quantize: str | None = None,
    calibration: Any = None,
    batch_size: int | None = None,
    fold: bool = True,
    tolerance: float | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write `model` as an ONNX file that is proven to reproduce it, or write nothing.

    Batch norms are folded, other norms become few static operations, inputs and outputs keep Keras' names and order,
    and the file passes onnx's full check.

    Args:
        model: a Keras model, or the path of one (`.keras`, legacy `.h5`). It is not changed.
        path: where to write; must end in `.onnx`. A file that is there is replaced only by a verified one.
        opset: the version of the ONNX operator set, from 13; 18 if None.
        quantize: None for float32; "float16", "dynamic" (8-bit weights, activations as they come), or "int8" (both
            in 8 bits, by calibration). Norms stay in float in every mode.
        calibration: typical inputs for "int8"; an array, a list or dict of arrays, or an iterable of batches of these.
        batch_size: fixes the batch dimension; None leaves it free.
        fold: merge batch norms into their neighbours first.
        tolerance: the largest error allowed, as a share of each output's max |y|. If None, 1e-4 in float32, and in a
            quantized file the signal to noise ratio of the mode in `quantization.MODES`.
        progress: called with the name of each stage as it begins.

    Raises:
        ExportError: the model, the path or an option is of no use; the message says which and what to do.
        VerificationError: the file that came out does not reproduce the model; it was not written.

    Example:
        >>> import keras
        >>> from keras_norms.export import to_onnx
        >>> conv, norm = keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), conv, norm])
        >>> to_onnx(model, "model.onnx", opset=17).verification.ok  # doctest: +SKIP
        True
    """
    return _export(
        model,
        path,
        ".onnx",
        batch_size=batch_size,
        fold=fold,
        tolerance=tolerance,
        progress=progress,
        opset=opset,
        quantize=quantize,
        calibration=calibration,
    )


def _export(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    suffix: str,
    *,
    batch_size: int | None,
    fold: bool,
    tolerance: float | None,
    progress: Progress | None,
    **options: Any,
) -> ExportReport:
    path = Path(path)
    if path.suffix != suffix:
        raise ExportError(f"The output must end in {suffix}; got '{path.name}'. Rename the output.")
    say = progress or (lambda stage: None)
    target = target_of(path)
    mode = check_mode(options["quantize"], options["calibration"], target.MODES, target.NAME)
    target.check(options)
    check_tolerance(tolerance)
    check_writable(path)
    say("loading")
    model = load_model(model)
    sig = signature(model, batch_size)
    batches = calibration_batches(options["calibration"], sig) if mode and mode.calibrated else []
    say("folding")
    folded, fold_report, warnings = _fold(model) if fold else (model, None, ())
    warnings += _precision_warning(model)
    with tempfile.TemporaryDirectory(prefix="keras-norms-") as work, placing(path) as partial:
        options["calibration"] = save_batches(batches, Path(work) / "calibration.npz") if batches else None
        _make(folded, sig, target, partial, Path(work), options, say)
        say("verifying")
        verification = compare(
            model, target.runners(partial), path, inputs=_examples(batches), tolerance=tolerance, mode=mode
        )
        if not verification.ok and mode is None:
            say("looking for the layer that diverges")
            layer = first_divergence(
                folded, lambda part, to: _make(part, signature(part), target, to, Path(work), options), suffix
            )
            verification = replace(verification, first_divergence=layer)
        if not verification.ok:
            raise VerificationError(
                f"'{path}' was not written: the {target.NAME} file does not reproduce its model. "
                f"{verification.failure()}"
            )
        if mode and target.quantized_as(partial) is None:
            warnings += (f"nothing was quantized: the converter found no weights large enough for '{mode.name}'",)
        report = _report(path, partial, target, fold_report, verification, warnings)
    return report


def _fold(model: keras.Model) -> tuple[keras.Model, FoldReport | None, tuple[str, ...]]:
    try:
        folded, report = fold_model(model)
    except FoldError as error:
        return model, None, (f"nothing was folded: {error}",)
    return folded, report, ()


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
    say: Progress = lambda stage: None,
) -> None:
    say("tracing")
    saved_model = Path(tempfile.mkdtemp(dir=work))
    if keras.backend.backend() == "tensorflow":
        from .trace import trace

        trace(model, saved_model, sig, target.CHANNELS_FIRST)
    else:
        trace_in_child(model, saved_model, sig, target.CHANNELS_FIRST, work)
    say("converting")
    target.convert(saved_model, path, sig, options)


def _report(
    path: Path,
    partial: Path,
    target: Any,
    fold: FoldReport | None,
    verification: VerifyReport,
    warnings: tuple[str, ...],
) -> ExportReport:
    size, ops = partial.stat().st_size, target.op_counts(partial)
    return ExportReport(path, target.NAME, size, ops, fold, verification, warnings)
