"""How far from zero an artifact holds the tolerance, beside the model itself: a figure, no verdict.

Inputs of mean m and deviation 1, for m = 10, 30, 100, ..., are computed in float64, by the model in float32 and by the
artifact. A norm takes the mean away, so what is left is known to about m rounding steps at best; sums of squares lose
m^2 of them. A model whose only norms are batch norms has no such figure: at inference they are constants.
"""

from __future__ import annotations

import zlib

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


def reach(facts: ModelFacts, artifact: Artifact, probe: Probe, tolerance: float) -> Reach | None:
    """Up to which mean the artifact, in its first runtime, and the model hold `tolerance`.

    `probe` gives the shapes and what is no float. None if the model has no float inputs or does not run in float64.
    """
    base, _ = next(in_pieces(probe.arrays, artifact.batch, 1))
    if not any(x.dtype.kind == "f" for x in base):
        return None
    runtime = next(iter(artifact.runners))
    best = {"artifact": 0.0, "model": 0.0}
    holds = dict.fromkeys(best, True)
    with in_float32(facts.model):
        for mean in MEANS:
            arrays = _shifted(facts, base, mean)
            try:
                exact = run_in_float64(facts, run_model, arrays)
            except Exception:  # a layer without float64: each backend raises kinds of its own
                return None
            for name in best:
                if holds[name]:
                    got = _got(facts, artifact, runtime, arrays, name)
                    holds[name] = got is not None and _near(exact, got, tolerance)
                    best[name] = mean if holds[name] else best[name]
            if not any(holds.values()):
                break
    return Reach(tolerance, best["artifact"], best["model"], MEANS[-1])


def _got(facts: ModelFacts, artifact: Artifact, runtime: str, arrays: Arrays, name: str) -> Arrays | None:
    try:
        return run_model(facts, arrays) if name == "model" else artifact.run(runtime, arrays)
    except VerificationError:
        return None


def _near(exact: Arrays, got: Arrays, tolerance: float) -> bool:
    return max(relative_errors(zip(exact, got, strict=True), [0.0] * len(exact)), default=0.0) <= tolerance


def _shifted(facts: ModelFacts, base: Arrays, mean: float) -> Arrays:
    rng, scaled = np.random.default_rng(zlib.crc32(f"{mean}".encode())), scalings(facts.model, facts.signature)
    arrays = []
    for spec, x in zip(facts.signature.inputs, base, strict=True):
        y = (mean + rng.normal(size=x.shape)).astype(x.dtype) if x.dtype.kind == "f" else x
        arrays.append(scaled[spec.name].taken_back(y) if spec.name in scaled else y)
    return arrays
