"""Look at a TFLite file with the eyes of XNNPACK and of GPU and NPU delegates, before a phone does."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ....errors import ExportError
from ....loading.load_model import load_model
from ....model.keras_graph import layers_below
from ....model.layer_names import layer_of
from ....model.signature import Signature
from ....model.user_inputs import Arrays, user_cases
from ....report.delegate_report import DelegateReport, Finding, XnnpackReport
from ... import target_of
from .static_checks import look_at

_EXAMPLES = 8
_LARGEST_ERROR, _HARMLESS = 0.05, 0.01
_HALF_LARGEST, _HALF_SMALLEST = 65504.0, 2.0**-14
_GPU_FORM = "export with target='gpu' (--target gpu), which scales before it squares; or scale the inputs"


def lint(
    path: str | os.PathLike, *, model: keras.Model | str | os.PathLike | None = None, calibration: Any = None
) -> DelegateReport:
    """Say what of a `.tflite` file XNNPACK takes, and what a GPU or NPU delegate would reject or compute badly.

    Half precision is emulated on `calibration`: every number between two operations is rounded to float16, and the
    first layer whose numbers overflow or vanish is named.

    Args:
        path: a `.tflite` file.
        model: the Keras model, or the path of one, for its layers' exact names; without it they are read off the file.
        calibration: typical inputs, as `to_tflite` takes them; standard normal numbers if None.

    Raises:
        ExportError: another kind of file, one that is missing or damaged, or inputs that do not fit.

    Example:
        >>> print(lint("model.tflite", calibration=images))  # doctest: +SKIP
    """
    path = Path(path)
    if path.suffix != ".tflite":
        raise ExportError(f"Delegates are a matter of .tflite files; got '{path.name}'. Export one.")
    if not path.is_file():
        raise ExportError(f"There is no artifact '{path}'. Export the model first.")
    layers = None if model is None else {layer.name for layer in layers_below(load_model(model))}
    runner = next(iter(target_of(path).runners(path).values()))
    from ..flex_runner import flex_ops

    flexible = bool(flex_ops(path))
    findings = look_at(path, runner.inputs, layers, target_of(path).quantized_as(path))
    half: dict[str, float] = {}
    arrays, told = _inputs(runner, calibration)
    if not flexible:
        numbers, half = _half(path, dict(zip([s.name for s in runner.inputs], arrays, strict=True)), layers, runner)
        findings += numbers
    return DelegateReport(str(path), None if flexible else xnnpack(path, layers), tuple(findings), half, told)


def xnnpack(path: Path, layers: Collection[str] | None = None) -> XnnpackReport | None:
    """Which operations of a `.tflite` file XNNPACK takes; None for one that needs sizes no one can guess."""
    from .operations import delegated

    return delegated(path, layers)


def _inputs(runner: Any, calibration: Any) -> tuple[Arrays, str]:
    """A few examples to emulate half precision on, and what they are."""
    if calibration is not None:
        free = tuple(type(s)(s.name, (None, *s.shape[1:]), s.dtype) for s in runner.inputs)
        _, arrays = user_cases(calibration, Signature(free, ()), "calibration")[0]
        count = min(_EXAMPLES, len(arrays[0]))
        sizes = [spec.shape[0] or count for spec in runner.inputs]
        picked = [a[np.arange(size) % len(a)] for a, size in zip(arrays, sizes, strict=True)]
        return picked, f"{min(count, sizes[0])} of the inputs given"
    rng = np.random.default_rng(0)
    shapes = [[n or (1 if i == 0 else 32) for i, n in enumerate(spec.shape)] for spec in runner.inputs]
    drawn = [
        rng.normal(size=shape) if spec.dtype.startswith("float") else np.zeros(shape)
        for spec, shape in zip(runner.inputs, shapes, strict=True)
    ]
    told = "standard normal numbers: give calibration data (--calibration) to learn what yours do"
    return [x.astype(spec.dtype) for x, spec in zip(drawn, runner.inputs, strict=True)], told


def _half(
    path: Path, feed: dict[str, np.ndarray], layers: Collection[str] | None, runner: Any
) -> tuple[list[Finding], dict[str, float]]:
    from .half_precision import half_constants, run_in_half

    findings = []
    for op, name, value in half_constants(path):
        digits = "is zero or has lost digits" if abs(value) < _HALF_SMALLEST else "is infinite"
        reason = f"the constant {value:.1e} {digits} in float16 (smallest whole one 6.1e-05, largest 65504)"
        remedy = "use a larger epsilon in the layer, or export with target='gpu' (--target gpu)"
        findings.append(Finding("float16 constant", layer_of(name, layers), op, reason, remedy))
    rows = run_in_half(path, feed)
    for test in (_overflow, _underflow):
        suspects = (finding for row in rows if (finding := test(*row, layers)) is not None)
        found = next((finding for finding in suspects if _matters(finding, rows, layers)), None)
        findings += [] if found is None else [found]
    errors = {}
    for op, name, single, half in rows:
        if name in runner.outputs:
            scale = float(np.abs(single[np.isfinite(single)]).max(initial=0.0))
            with np.errstate(invalid="ignore"):
                worst = float(np.abs(single - half).max(initial=0.0))
            errors[name] = worst / scale if scale else worst
            bad = not errors[name] <= _LARGEST_ERROR
            if bad and not any(finding.kind == "float16 overflow" for finding in findings):
                reason = f"off by {errors[name]:.1e} of the output's scale in emulated half precision"
                remedy = "run in single precision on the GPU (precision loss not allowed), or scale the inputs"
                findings.append(Finding("float16 error", layer_of(name, layers), op, reason, remedy))
    return findings, errors


def _matters(finding: Finding, rows: list[Any], layers: Any) -> bool:
    """Whether the layer's own result suffers: a number may well vanish beside a larger one that it is added to."""
    _, _, single, half = [row for row in rows if layer_of(row[1], layers) == finding.layer][-1]
    scale = float(np.abs(single[np.isfinite(single)]).max(initial=0.0))
    with np.errstate(invalid="ignore"):
        return not float(np.abs(single - half).max(initial=0.0)) <= _HARMLESS * scale


def _overflow(op: str, name: str, single: np.ndarray, half: np.ndarray, layers: Any) -> Finding | None:
    if not np.isinf(half[np.isfinite(single)]).any():
        return None
    largest = float(np.abs(single[np.isfinite(single)]).max())
    reason = f"reaches {largest:.2e}; float16 ends at 65504"
    return Finding("float16 overflow", layer_of(name, layers), op, reason, _GPU_FORM)


def _underflow(op: str, name: str, single: np.ndarray, half: np.ndarray, layers: Any) -> Finding | None:
    """All that is not zero in single precision is below the smallest whole half."""
    largest = float(np.abs(single[np.isfinite(single)]).max(initial=0.0))
    if not 0.0 < largest < _HALF_SMALLEST:
        return None
    lost = float(np.mean(half[single != 0] == 0))
    reason = f"nothing in it is above {largest:.1e}; below 6.1e-05 a float16 loses digits, and {lost:.0%} became zero"
    return Finding("float16 underflow", layer_of(name, layers), op, reason, _GPU_FORM)
