"""Which inputs an artifact is tried on: those that break norms, and those that the user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..artifact.hashes import array_sha256
from ..formats.protocol import Runner
from ..model.facts import ModelFacts
from ..model.signature import Signature
from ..model.test_inputs import Probe, probes
from ..model.user_inputs import Arrays, user_cases
from ..quantization.modes import Mode
from ..report.verify_report import Tried
from .interface import Artifact, check_inputs, first_of, fixed_batch
from .tolerance import ordinary


def cases_to_try(
    facts: ModelFacts, runners: dict[str, Runner], path: Path, inputs: Any = None, mode: Mode | None = None
) -> list[Probe]:
    """The inputs that an artifact, opened in `runners`, is compared on; `mode` is how it is quantized, if it is.

    Raises:
        ExportError: If the artifact does not take what the model takes, or if `inputs` do not fit the model.
    """
    sig = facts.with_batch(fixed_batch(first_of(runners))).signature
    check_inputs(sig, Artifact.of(path, runners, sig), mode)
    cases = [case for case in probes(facts.model, sig) if mode is None or ordinary(case)]
    if mode is not None and mode.calibrated and inputs is not None:
        cases = []  # Ranges were taken from real data; noise outside of them would be clipped.
    if inputs is not None:
        given = user_cases(inputs, facts.declared)
        cases += [Probe(name, _fill_batch(arrays, sig), "given", given=True) for name, arrays in given]
    return cases


def record_of(case: Probe, sig: Signature) -> Tried:
    """What a report keeps of an input: how to draw it again, and the hash of each array."""
    named = dict(zip([spec.name for spec in sig.inputs], case.arrays, strict=True))
    return Tried(
        case=case.name,
        formula=case.formula,
        seed=case.seed,
        shapes={name: list(array.shape) for name, array in named.items()},
        sha256={name: array_sha256(array) for name, array in named.items()},
    )


def _fill_batch(arrays: Arrays, sig: Signature) -> Arrays:
    """The arrays with as many examples as the artifact fixes: the last one is repeated, or the end is cut off."""
    filled = []
    for array, spec in zip(arrays, sig.inputs, strict=True):
        batch = spec.shape[0] if spec.shape else None
        if batch is not None and array.shape[0] != batch:
            array = array[np.minimum(np.arange(batch), array.shape[0] - 1)]
        filled.append(array)
    return filled
