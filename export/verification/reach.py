"""How far from zero an artifact holds the tolerance, beside the model itself: a figure, no verdict.

Inputs of mean m and deviation 1, for m = 10, 30, 100, ..., are computed in float64, by the model in float32 and by the
artifact. A norm takes the mean away, so what is left is known to about m rounding steps at best; sums of squares lose
m^2 of them. A model whose only norms are batch norms has no such figure: at inference they are constants.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from ..errors import VerificationError
from ..model.facts import ModelFacts
from ..model.input_scaling import scalings
from ..model.precision import in_float32
from ..model.test_inputs import Probe
from ..model.user_inputs import Arrays
from ..report.inside import Reach
from .float64_run import run_in_float64
from .interface import Artifact
from .metrics import relative_errors
from .pieces import in_pieces
from .reference import run_model

MEANS = (10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4)
_NUMBERS_AT_ONCE = 2**16  # of all inputs together: small ones of several means run as one batch


def reach(facts: ModelFacts, artifact: Artifact, probe: Probe, tolerance: float) -> Reach | None:
    """Up to which mean the artifact, in its first runtime, and the model hold `tolerance`.

    `probe` gives the shapes and what is no float. None if the model has no float inputs or does not run in float64.
    """
    base, _ = next(in_pieces(probe.arrays, artifact.batch, 1))
    if not any(x.dtype.kind == "f" for x in base):
        return None
    best = {"artifact": 0.0, "model": 0.0}
    holds = dict.fromkeys(best, True)
    at_once = max(1, _NUMBERS_AT_ONCE // sum(x.size for x in base)) if _has_rows(base) else 1
    with in_float32(facts.model):
        for start in range(0, len(MEANS), at_once):
            means = MEANS[start : start + at_once]
            shares = _shares(facts, artifact, base, means)
            if shares is None:
                return None
            for i, mean in enumerate(means):
                for name in best:
                    holds[name] = holds[name] and shares[name][i] <= tolerance
                    best[name] = mean if holds[name] else best[name]
            if not any(holds.values()):
                break
    return Reach(tolerance, best["artifact"], best["model"], MEANS[-1])


def _has_rows(arrays: Arrays) -> bool:
    return all(x.ndim for x in arrays) and len({len(x) for x in arrays}) == 1


def _shares(
    facts: ModelFacts, artifact: Artifact, base: Arrays, means: Sequence[float]
) -> dict[str, list[float]] | None:
    """By mean, how far the artifact and the model are from float64; the inputs of all means run together."""
    shifted = [_shifted(facts, base, mean) for mean in means]
    arrays = shifted[0] if len(means) == 1 else [np.concatenate(parts) for parts in zip(*shifted, strict=True)]
    try:
        exact = run_in_float64(facts, run_model, arrays)
    except Exception:  # a layer without float64: each backend raises kinds of its own
        return None
    if len(means) > 1 and any(y.shape[:1] != arrays[0].shape[:1] for y in exact):  # no row for each row of the inputs
        apart = [_shares(facts, artifact, base, [mean]) for mean in means]
        told = [part for part in apart if part is not None]
        return {name: [part[name][0] for part in told] for name in told[0]} if len(told) == len(apart) else None
    runtime = next(iter(artifact.runners))
    got = {"model": run_model(facts, arrays), "artifact": _run(artifact, runtime, arrays)}
    return {name: _by_mean(exact, outputs, len(means)) for name, outputs in got.items()}


def _run(artifact: Artifact, runtime: str, arrays: Arrays) -> Arrays | None:
    try:
        return artifact.run(runtime, arrays)
    except VerificationError:
        return None


def _by_mean(exact: Arrays, got: Arrays | None, count: int) -> list[float]:
    if got is None:
        return [np.inf] * count
    if count == 1:
        return [_share(exact, got)]
    rows = [zip(*(np.split(y, count) for y in ys), strict=True) for ys in (exact, got)]
    return [_share(one, other) for one, other in zip(*rows, strict=True)]


def _share(exact: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    return max(relative_errors(zip(exact, got, strict=True), [0.0] * len(exact)), default=0.0)


def _shifted(facts: ModelFacts, base: Arrays, mean: float) -> Arrays:
    rng, scaled = np.random.default_rng(zlib.crc32(f"{mean}".encode())), scalings(facts.model, facts.signature)
    arrays = []
    for spec, x in zip(facts.signature.inputs, base, strict=True):
        y = (mean + rng.normal(size=x.shape)).astype(x.dtype) if x.dtype.kind == "f" else x
        arrays.append(scaled[spec.name].taken_back(y) if spec.name in scaled else y)
    return arrays
