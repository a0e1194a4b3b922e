"""Compare an artifact with the model it was made from, in the runtimes that its users have.

An error is taken relative to the output's own scale, max |y|.
"""

from __future__ import annotations

import os
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..artifact.metadata import MODEL, read_metadata
from ..errors import ExportError, FoldError, VerificationError
from ..folding.fold import fold
from ..formats import target_of
from ..formats.protocol import Runner
from ..loading.load_model import load_model
from ..model.layer_names import names_apart
from ..model.precision import in_float32
from ..model.signature import Signature, Spec, signature
from ..model.test_inputs import Arrays, Probe, probes, user_cases
from ..quantization.modes import MODES, Mode
from ..report.verify_report import Check, Tried, VerifyReport
from .certificate import Certificate
from .diagnosis.match_tensors import divergence_inside
from .reference import Reference, distance, narrowed, references, scale
from .tolerance import SAYS_NOTHING, limits_of, ordinary

DEFAULT_TOLERANCE = 1e-4
_FLOATS = {"float16", "bfloat16", "float32"}


def verify(
    model: keras.Model | str | os.PathLike,
    path: str | os.PathLike,
    *,
    inputs: Any = None,
    tolerance: float | None = None,
) -> VerifyReport:
    """Run `model` and the artifact at `path` on the same inputs and return how far apart they are.

    The artifact runs in each runtime a user may have (LiteRT with and without XNNPACK; ONNX Runtime with and without
    graph optimizations) on random inputs at batch 1 and 3, on zeros, constants, tiny and far numbers, on one infinity,
    and on `inputs`. A certificate that lies beside the artifact is checked too: `report.certificate`.

    Args:
        model: the Keras model, or the path of one.
        path: a `.tflite` or `.onnx` file.
        inputs: an array, a list or dict of arrays, an .npz file, or an iterable of batches of these.
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
    model = load_model(model)
    metadata = read_metadata(target, path)
    _check_names(model, runners, path, metadata)
    cases = cases_to_try(model, runners, path, inputs, mode)
    report = replace(compare(model, runners, path, cases, tolerance=tolerance, mode=mode), metadata=metadata)
    if not report.ok:
        layer, loss = divergence_inside([model, *_folded(model)], target, path, report, cases)
        report = replace(report, first_divergence=layer, largest_loss=loss)
    certificate = Certificate.beside(path)
    return report if certificate is None else replace(report, certificate=certificate.recheck(model, path, report))


def _folded(model: keras.Model) -> list[keras.Model]:
    try:
        return [fold(model).model]
    except FoldError:
        return []


def check_tolerance(tolerance: float | None) -> float:
    if tolerance is None:
        return DEFAULT_TOLERANCE
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < tolerance < 1:
        raise ExportError(f"tolerance must be a share of the output's scale, between 0 and 1; got {tolerance!r}.")
    return float(tolerance)


def cases_to_try(
    model: keras.Model, runners: dict[str, Runner], path: Path, inputs: Any = None, mode: Mode | None = None
) -> list[Probe]:
    """The inputs that an artifact, opened in `runners`, is compared on; `mode` is how it is quantized, if it is."""
    first = next(iter(runners.values()))
    sig = signature(model, _fixed_batch(first.inputs))
    _check_inputs(sig, first, _names(sig, first, path)[0], path, mode)
    cases = [case for case in probes(model, sig) if mode is None or ordinary(case)]
    if mode is not None and mode.calibrated and inputs is not None:
        cases = []  # Ranges were taken from real data; noise outside of them would be clipped.
    if inputs is not None:
        given = user_cases(inputs, signature(model))
        cases += [Probe(name, _fill_batch(arrays, sig), "given", given=True) for name, arrays in given]
    return cases


def compare(
    model: keras.Model,
    runners: dict[str, Runner],
    path: Path,
    cases: list[Probe],
    *,
    tolerance: float | None = None,
    mode: Mode | None = None,
) -> VerifyReport:
    """`verify` for a loaded model, opened runtimes and the inputs of `cases_to_try`."""
    allowed = check_tolerance(tolerance)
    floor_db = mode.floor_db if mode and tolerance is None else None
    first = next(iter(runners.values()))
    sig = signature(model, _fixed_batch(first.inputs))
    to_input, to_output = _names(sig, first, path)
    checks: list[Check] = []
    skipped: list[str] = []
    expectations = references(model, sig, cases, skipped)
    largest = _scales(expectations)
    for case, expected in expectations:
        reason = _says_nothing(case, expected)
        if reason:
            skipped.append(f"{case.name}: {reason}")
            continue
        feed = {to_input[spec.name]: array for spec, array in zip(sig.inputs, case.arrays, strict=True)}
        found = []
        for runtime, runner in runners.items():
            run = _run(runner, feed, runtime, path)
            got = [run[to_output[name]] for name in sig.outputs]
            if expected.judged is not None:
                expected = narrowed(model, sig, case, expected, got)
            for i, (y, other) in enumerate(zip(expected.outputs, got, strict=True)):
                problem = _mismatch(y, other, mode) or _swapped(i, sig.outputs, expected.outputs, other, largest[i])
                figures = distance(expected.part(i, y), expected.part(i, other), largest[i])
                found.append((runtime, i, figures, problem))
        limits = [allowed] * len(sig.outputs)
        if any(relative > allowed for _, _, (_, relative, _), _ in found):  # else nothing more need be known
            with in_float32(model):
                limits, reason = limits_of(model, sig, case, expected, largest, allowed)
        if reason:
            skipped.append(f"{case.name}: {reason}")
            continue
        for runtime, i, figures, problem in found:
            where = (case.name, runtime, sig.outputs[i])
            checks.append(_check(where, figures, scale(expected.outputs[i]), limits[i], floor_db, problem))
    if not any(ordinary(case) for case in cases if case.name in {check.case for check in checks}):
        checks = []  # zeros or a constant alone prove nothing
    records = tuple(Tried.of(case, [spec.name for spec in sig.inputs]) for case in cases)
    name = mode.name if mode else None
    return VerifyReport(str(path), allowed, tuple(checks), tuple(skipped), quantized=name, inputs=records)


def _scales(expectations: list[tuple[Probe, Reference]]) -> list[float]:
    """What each output reaches on ordinary inputs: where it is far smaller, rounding is judged against this."""
    of_ordinary = [map(scale, expected.outputs) for case, expected in expectations if ordinary(case)]
    of_any = [[0.0] * len(expected.outputs) for _, expected in expectations[:1]]
    return [max(scales) for scales in zip(*of_ordinary, *of_any, strict=True)]


def _says_nothing(case: Probe, expected: Reference) -> str | None:
    """Why an input cannot be used to judge the artifact, or None."""
    judged = [expected.part(i, y) for i, y in enumerate(expected.outputs)]
    if expected.judged is not None and not any(y.size for y in judged):
        return "every number of every output depends on it"
    if not case.given and not all(np.isfinite(y).all() for y in judged):
        return "the model's own output is not finite"
    return None


def _check_names(model: keras.Model, runners: dict[str, Runner], path: Path, metadata: dict[str, str]) -> None:
    """A file of another tool may have other names; one that was written here has the model's.

    But for an output of an ONNX file that is called as an input is: there it cannot be.
    """
    first, sig = next(iter(runners.values())), signature(model)
    inputs = {spec.name for spec in sig.inputs}
    pairs = {
        "inputs": (inputs, {spec.name for spec in first.inputs}),
        "outputs": (set(sig.outputs), set(first.outputs)),
    }
    apart = set(names_apart(sig.outputs, inputs))
    for kind, (ours, theirs) in pairs.items():
        if MODEL in metadata and theirs not in (ours, apart if kind == "outputs" else ours):
            raise ExportError(
                f"'{path}' has the {kind} {sorted(theirs)}, the model has {sorted(ours)}; keras-norms keeps the names. "
                "Is it the artifact of another model, or was it changed? Export the model again."
            )


def _fixed_batch(specs: tuple[Spec, ...]) -> int | None:
    sizes = {spec.shape[0] for spec in specs if spec.shape}
    return sizes.pop() if len(sizes) == 1 else None


def _names(sig: Signature, runner: Runner, path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The names that the artifact has for the model's inputs and for its outputs."""
    inputs, theirs = [spec.name for spec in sig.inputs], [spec.name for spec in runner.inputs]
    return _match(inputs, theirs, "inputs", path), _match(list(sig.outputs), list(runner.outputs), "outputs", path)


def _match(of_model: list[str], of_artifact: list[str], kind: str, path: Path) -> dict[str, str]:
    """Names of the model to names of the artifact: the same ones, or, for another tool's file, by position."""
    if len(of_model) != len(of_artifact):
        raise ExportError(
            f"'{path}' has the {kind} {of_artifact}, the model has {of_model}. Is it the artifact of another model?"
        )
    if set(of_model) == set(of_artifact):
        return {name: name for name in of_model}
    return dict(zip(of_model, of_artifact, strict=True))


def _check_inputs(sig: Signature, runner: Runner, to_input: dict[str, str], path: Path, mode: Mode | None) -> None:
    of_artifact = {spec.name: spec for spec in runner.inputs}
    for spec in sig.inputs:
        other = of_artifact[to_input[spec.name]]
        sizes = zip(spec.shape, other.shape, strict=False)
        fits = len(spec.shape) == len(other.shape) and not any(
            None not in pair and pair[0] != pair[1] for pair in sizes
        )
        # A quantized file may take bytes; a model of mixed precision is exported in float32.
        same = spec.dtype == other.dtype or mode is not None or {spec.dtype, other.dtype} <= _FLOATS
        if not fits or not same:
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


def _mismatch(y: np.ndarray, got: np.ndarray, mode: Mode | None) -> str | None:
    """What makes an output another kind of thing than the model's, whatever its numbers."""
    if y.shape != got.shape:
        return f"has the shape {list(got.shape)}, the model's {list(y.shape)}"
    if y.dtype != got.dtype and (mode is None or got.dtype.kind != y.dtype.kind):
        return f"is {got.dtype}, the model's {y.dtype}"
    return None


def _swapped(i: int, names: tuple[str, ...], outputs: Arrays, got: np.ndarray, largest: float) -> str | None:
    """That an output is another one of the model's, rather than a bad one."""
    if len(outputs) == 1 or distance(outputs[i], got, largest)[1] < SAYS_NOTHING:  # rounding alone may be alike
        return None
    others = (name for k, name in enumerate(names) if k != i and _same(outputs[k], outputs[i], got))
    twin = next(others, None)
    return None if twin is None else f"has what '{twin}' should have"


def _same(other: np.ndarray, own: np.ndarray, got: np.ndarray) -> bool:
    return distance(other, got, 0.0)[1] <= DEFAULT_TOLERANCE < distance(other, own, 0.0)[1]


def _check(
    where: tuple[str, str, str],
    figures: tuple[float, float, float],
    reach: float,
    limit: float,
    floor_db: float | None,
    problem: str | None,
) -> Check:
    max_abs, relative, sqnr = figures
    ok = problem is None and (relative <= limit if floor_db is None else sqnr >= floor_db)
    return Check(*where, max_abs, reach, relative, sqnr, limit, floor_db, ok, problem)


def _run(runner: Runner, feed: dict[str, np.ndarray], runtime: str, path: Path) -> dict[str, np.ndarray]:
    try:
        return runner.run(feed)
    except Exception as error:  # each runtime has exceptions of its own
        first = str(error).strip().splitlines()[0]
        raise VerificationError(f"'{path.name}' does not run in {runtime}: {first}") from error
