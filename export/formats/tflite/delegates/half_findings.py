"""What goes wrong in half precision: constants that float16 does not hold, and where numbers overflow or vanish."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np

from ....model.float16 import FLOAT16_LARGEST, FLOAT16_SMALLEST_NORMAL
from ....model.layer_names import layer_of
from ....model.relative_error import absolute_errors, largest, relative, scale
from ....report.delegate_report import Finding
from .half_precision import HalfResult, half_constants, run_in_half
from .half_remedies import SINGLE, Remedies

_LARGEST_ERROR, _HARMLESS = 0.05, 0.01  # as shares of the scale: of an output, of a layer's result

Layers = Collection[str] | None
_Test = Callable[[HalfResult, Layers, Remedies], Finding | None]


def half_findings(
    path: Path, feed: dict[str, np.ndarray], outputs: Collection[str], layers: Layers
) -> tuple[list[Finding], dict[str, float]]:
    """The findings, and the error of each output as a share of its scale, in emulated half precision on `feed`."""
    results = run_in_half(path, feed)
    reached = {result.name: scale(result.single) for result in results}
    reached |= {name: float(np.abs(x).max(initial=0.0)) for name, x in feed.items() if x.dtype.kind == "f"}
    remedies = Remedies(path, reached)
    findings = _constants(path, layers, remedies)
    overflow, underflow = (_first(test, results, layers, remedies) for test in (_overflow, _underflow))
    overflow = overflow or _terms(results, layers, remedies)
    findings += [found for found in (overflow, underflow) if found is not None]
    errors = {}
    for result in results:
        if result.name in outputs:
            errors[result.name] = _error(result)
            if errors[result.name] > _LARGEST_ERROR and overflow is None:
                reason = f"off by {errors[result.name]:.1e} of the output's scale in emulated half precision"
                layer = layer_of(result.name, layers)
                findings.append(Finding("float16 error", layer, result.op, reason, SINGLE))
    return findings, errors


def _constants(path: Path, layers: Layers, remedies: Remedies) -> list[Finding]:
    findings = []
    for op, name, value in half_constants(path):
        digits = "is zero or has lost digits" if abs(value) < FLOAT16_SMALLEST_NORMAL else "is infinite"
        reason = f"the constant {value:.1e} {digits} in float16 (smallest whole one 6.1e-05, largest 65504)"
        remedy = remedies.for_constant(name)
        findings.append(Finding("float16 constant", layer_of(name, layers), op, reason, remedy))
    return findings


def _first(test: _Test, results: list[HalfResult], layers: Layers, remedies: Remedies) -> Finding | None:
    """The first finding of `test` in a layer whose own result suffers from it."""
    suspects = (finding for result in results if (finding := test(result, layers, remedies)) is not None)
    return next((finding for finding in suspects if _matters(finding, results, layers)), None)


def _matters(finding: Finding, results: list[HalfResult], layers: Layers) -> bool:
    """Whether the layer's own result suffers: a number may vanish harmlessly if a larger one is added to it."""
    last = [result for result in results if layer_of(result.name, layers) == finding.layer][-1]
    return _error(last) > _HARMLESS


def _error(result: HalfResult) -> float:
    return relative(largest(absolute_errors(result.single, result.half)), scale(result.single))


def _overflow(result: HalfResult, layers: Layers, remedies: Remedies) -> Finding | None:
    if not np.isinf(result.half[np.isfinite(result.single)]).any():
        return None
    reason = f"reaches {scale(result.single):.2e}; float16 ends at {FLOAT16_LARGEST:.0f}"
    remedy = remedies.for_result(result.name)
    return Finding("float16 overflow", layer_of(result.name, layers), result.op, reason, remedy)


def _terms(results: list[HalfResult], layers: Layers, remedies: Remedies) -> Finding | None:
    """The first MEAN whose terms add up to more than a half: GPUs differ in how wide they keep the sum."""
    for result in results:
        total = scale(result.single) * remedies.terms(result.name)
        if total > FLOAT16_LARGEST:
            reason = f"its {remedies.terms(result.name)} terms add up to {total:.2e}; float16 ends at 65504"
            remedy = remedies.for_terms(result.name)
            return Finding("float16 overflow", layer_of(result.name, layers), result.op, reason, remedy)
    return None


def _underflow(result: HalfResult, layers: Layers, remedies: Remedies) -> Finding | None:
    """If everything that is not zero in single precision is below the smallest normal float16."""
    reached = scale(result.single)
    if not 0.0 < reached < FLOAT16_SMALLEST_NORMAL:
        return None
    lost = float(np.mean(result.half[result.single != 0] == 0))
    reason = f"nothing in it is above {reached:.1e}; below 6.1e-05 a float16 loses digits, and {lost:.0%} became zero"
    remedy = remedies.for_result(result.name)
    return Finding("float16 underflow", layer_of(result.name, layers), result.op, reason, remedy)
