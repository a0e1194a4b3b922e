"""Compare an artifact with the model it was made from, in the runtimes that its users have.

An error is taken relative to the output's own scale, max |y|. A model that answers one rounding step of its input with
more than the tolerance cannot be held to the tolerance there: what is allowed grows with that response, and an input on
which the response is large says nothing and is set aside, by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from .errors import ExportError, VerificationError
from .loading import load_model
from .precision import in_float32
from .probes import Arrays, probes, user_cases
from .quantization import MODES, Mode
from .report.verify import Check, VerifyReport
from .signature import Signature, Spec, signature
from .targets import target_of
from .targets.runner import Runner

DEFAULT_TOLERANCE = 1e-4
_ROUNDING_FACTOR = 16
_SAYS_NOTHING = 1e-2
_SMALLEST_SCALE = 1e-3


def verify(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    *,
    inputs: Any = None,
    tolerance: float | None = None,
) -> VerifyReport:
    """Run `model` and the artifact at `path` on the same inputs and return how far apart they are.

    The artifact runs in each runtime a user may have (LiteRT with and without XNNPACK; ONNX Runtime with and without
    graph optimizations) on random inputs at batch 1 and 3, a constant, inputs far from zero, and `inputs`.

    Args:
        model: the Keras model, or the path of one.
        path: a `.tflite` or `.onnx` file.
        inputs: an array, a list or dict of arrays, or an iterable of batches of these.
        tolerance: the largest error allowed, as a share of the output's max |y|. If None, 1e-4 for a float32 file; a
            quantized one is held to the signal to noise ratio of its mode, on `inputs` alone if it was calibrated.

    Raises:
        ExportError: a file that is missing or cannot be run, inputs that do not fit, or another model's interface.

    Example:
        >>> verify("model.keras", "model.tflite").ok  # doctest: +SKIP
        True
    """
    path = Path(path)
    target = target_of(path)
    if not path.is_file():
        raise ExportError(f"There is no artifact '{path}'. Export the model first.")
    runners = target.runners(path)
    mode = MODES.get(target.quantized_as(path))
    return compare(load_model(model), runners, path, inputs=inputs, tolerance=tolerance, mode=mode)


def check_tolerance(tolerance: float | None) -> float:
    if tolerance is None:
        return DEFAULT_TOLERANCE
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or not 0 < tolerance < 1:
        raise ExportError(f"tolerance must be a share of the output's scale, between 0 and 1; got {tolerance!r}.")
    return float(tolerance)


def compare(
    model: keras.Model,
    runners: dict[str, Runner],
    path: Path,
    *,
    inputs: Any = None,
    tolerance: float | None = None,
    mode: Mode | None = None,
) -> VerifyReport:
    """`verify` for a loaded model and opened runtimes; `mode` is how the artifact is quantized, if it is."""
    allowed = check_tolerance(tolerance)
    floor_db = mode.floor_db if mode and tolerance is None else None
    first = next(iter(runners.values()))
    sig = signature(model, _fixed_batch(first.inputs))
    to_input = _match([spec.name for spec in sig.inputs], [spec.name for spec in first.inputs], "inputs", path)
    to_output = _match(list(sig.outputs), list(first.outputs), "outputs", path)
    _check_shapes(sig, first, to_input, path)
    cases = [(name, arrays, False) for name, arrays in probes(model, sig) if mode is None or name.startswith("random")]
    if mode is not None and mode.calibrated and inputs is not None:
        cases = []  # Ranges were taken from real data; noise outside of them would be clipped.
    if inputs is not None:
        cases += [(name, _fill_batch(arrays, sig), True) for name, arrays in user_cases(inputs, signature(model))]
    with in_float32(model):
        references = [_reference(model, sig, arrays) for _, arrays, _ in cases]
    scales = [max(_scale(reference[0][i]) for reference in references) for i in range(len(sig.outputs))]
    checks: list[Check] = []
    skipped: list[str] = []
    for (name, arrays, given), (expected, response) in zip(cases, references, strict=True):
        if not given and not all(np.isfinite(y).all() for y in expected):
            skipped.append(f"{name}: the model's own output is not finite")
            continue
        shifts = [_distance(y, moved, scale)[1] for y, moved, scale in zip(expected, response, scales, strict=True)]
        if max(shifts) > _SAYS_NOTHING:
            skipped.append(
                f"{name}: one rounding step of the input moves the model's output by {max(shifts):.0e} of its scale"
            )
            continue
        feed = {to_input[spec.name]: array for spec, array in zip(sig.inputs, arrays, strict=True)}
        for runtime, runner in runners.items():
            got = _run(runner, feed, runtime, path)
            for output, y, shift, scale in zip(sig.outputs, expected, shifts, scales, strict=True):
                limit = max(allowed, _ROUNDING_FACTOR * shift)
                checks.append(_check(name, runtime, output, y, got[to_output[output]], scale, limit, floor_db))
    return VerifyReport(str(path), allowed, tuple(checks), tuple(skipped), quantized=mode.name if mode else None)


def _fixed_batch(specs: tuple[Spec, ...]) -> int | None:
    sizes = {spec.shape[0] for spec in specs if spec.shape}
    return sizes.pop() if len(sizes) == 1 else None


def _match(of_model: list[str], of_artifact: list[str], kind: str, path: Path) -> dict[str, str]:
    """Names of the model to names of the artifact: the same ones, or, for another tool's file, by position."""
    if len(of_model) != len(of_artifact):
        raise ExportError(
            f"'{path}' has the {kind} {of_artifact}, the model has {of_model}. Is it the artifact of another model?"
        )
    if set(of_model) == set(of_artifact):
        return {name: name for name in of_model}
    return dict(zip(of_model, of_artifact, strict=True))


def _check_shapes(sig: Signature, runner: Runner, to_input: dict[str, str], path: Path) -> None:
    of_artifact = {spec.name: spec for spec in runner.inputs}
    for spec in sig.inputs:
        other = of_artifact[to_input[spec.name]]
        sizes = zip(spec.shape, other.shape, strict=False)
        if len(spec.shape) != len(other.shape) or any(None not in pair and pair[0] != pair[1] for pair in sizes):
            raise ExportError(f"'{path}' takes {other}, the model takes {spec}. Is it the artifact of another model?")


def _fill_batch(arrays: Arrays, sig: Signature) -> Arrays:
    """Repeat the last example, or cut, so that the arrays have the batch that the artifact fixes."""
    filled = []
    for array, spec in zip(arrays, sig.inputs, strict=True):
        batch = spec.shape[0] if spec.shape else None
        if batch is not None and array.shape[0] != batch:
            array = array[np.minimum(np.arange(batch), array.shape[0] - 1)]
        filled.append(array)
    return filled


def _reference(model: keras.Model, sig: Signature, arrays: Arrays) -> tuple[Arrays, Arrays]:
    """The model's outputs, and its outputs when every float of the input moves by one rounding step, up or down."""
    rng = np.random.default_rng(0)
    moved = [
        np.nextafter(x, np.where(rng.random(x.shape) < 0.5, np.inf, -np.inf).astype(x.dtype))
        if x.dtype.kind == "f"
        else x
        for x in arrays
    ]
    return tuple([keras.ops.convert_to_numpy(y) for y in sig.call(model, x)] for x in (arrays, moved))  # type: ignore[return-value]


def _scale(y: np.ndarray) -> float:
    finite = np.abs(y[np.isfinite(y)].astype(np.float64))
    return float(finite.max()) if finite.size else 0.0


def _distance(y: np.ndarray, other: np.ndarray, largest: float) -> tuple[float, float, float]:
    """Largest difference, the same as a share of the scale, and the signal's power over the error's in dB.

    Outputs that are classes or flags have no scale: their distance is the share of positions that differ.
    """
    if y.shape != other.shape:
        return np.inf, np.inf, -np.inf
    if y.dtype.kind not in "fc":
        share = float(np.mean(y != other)) if y.size else 0.0
        return share, share, np.inf if share == 0 else -10 * np.log10(share)
    a, b = y.astype(np.float64), other.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    error = np.where(same, 0.0, np.abs(a - b))
    if not np.isfinite(error).all():
        return np.inf, np.inf, -np.inf
    # Where one input gives a tiny output, rounding is judged against what the output reaches on the others.
    scale = max(_scale(y), _SMALLEST_SCALE * largest)
    worst = float(error.max(initial=0.0))
    power, noise = (
        float(np.mean(np.square(a[np.isfinite(a)]))) if a.size else 0.0,
        float(np.mean(error**2)) if a.size else 0.0,
    )
    sqnr = np.inf if noise == 0 else 10 * np.log10(max(power, 1e-300) / noise)
    return worst, worst / scale if scale else (0.0 if worst == 0 else np.inf), float(sqnr)


def _check(
    case: str,
    runtime: str,
    output: str,
    y: np.ndarray,
    got: np.ndarray,
    largest: float,
    limit: float,
    floor_db: float | None,
) -> Check:
    max_abs, relative, sqnr = _distance(y, got, largest)
    ok = relative <= limit if floor_db is None else sqnr >= floor_db
    return Check(case, runtime, output, max_abs, _scale(y), relative, sqnr, limit, floor_db, ok)


def _run(runner: Runner, feed: dict[str, np.ndarray], runtime: str, path: Path) -> dict[str, np.ndarray]:
    try:
        return runner.run(feed)
    except Exception as error:  # each runtime has exceptions of its own
        first = str(error).strip().splitlines()[0]
        raise VerificationError(f"'{path.name}' does not run in {runtime}: {first}") from error
