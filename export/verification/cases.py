"""Which inputs an artifact is tried on: those that break norms, and those that the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..artifact.hashes import array_sha256
from ..formats.protocol import Runner
from ..model.facts import ModelFacts
from ..model.signature import Signature
from ..model.test_inputs import INFINITE, Probe, probes
from ..model.user_inputs import Arrays, NamedArrays, check_rows, joined, user_cases
from ..quantization.modes import Mode
from ..report.verify_report import Tried
from .interface import Artifact, check_inputs, first_of, fixed_batch
from .tolerance import ordinary

_MOST_IN_HALF = 4_096.0


def cases_to_try(
    facts: ModelFacts,
    runners: dict[str, Runner],
    path: Path,
    given: Sequence[NamedArrays] = (),
    mode: Mode | None = None,
) -> list[Probe]:
    """The inputs that an artifact, opened in `runners`, is compared on; `mode` is how it is quantized, if it is.

    `given` is what `given_cases` returned; free sizes of the other inputs are as in the first of these. A quantized
    artifact is held to the model's numbers on these, and on random inputs unless its ranges were taken from data: noise
    outside of them is clipped. On everything else its outputs must be finite where the model's are; not with one
    infinity among its inputs, from which the range of a whole tensor may be taken, and in half precision not with
    inputs near its largest number.

    Raises:
        ExportError: If the artifact does not take what the model takes, or if it fixes a batch and what is given has
            different numbers of rows for different inputs.
    """
    sig = facts.with_batch(fixed_batch(first_of(runners))).signature
    check_inputs(sig, Artifact.of(path, runners, sig), mode)
    for _, arrays in given:
        if sig.batch is not None:
            check_rows(arrays, sig, f"inputs for a file of batch {sig.batch}")
    noise_counts = mode is None or not (mode.calibrated and given)
    drawn = probes(facts.model, sig, given[0][1] if given else None)
    tried = [_judged(probe, mode, noise_counts) for probe in drawn if _within_range(probe, mode)]
    return tried + [Probe(name, arrays, "given", given=True) for name, arrays in given]


def given_cases(inputs: Any, declared: Signature, calibration: Arrays | None = None) -> list[NamedArrays]:
    """All rows that a user gives, in one case where their sizes allow. Calibration data are "given" if nothing else is.

    Where all inputs of the model fix the same batch, any number of rows will do: they are cut into pieces.

    Raises:
        ExportError: If `inputs` do not fit the model, or if a number in them is not finite.
    """
    rows = declared if declared.batch is None else declared.with_free_batch()
    given = [] if inputs is None else joined(user_cases(inputs, rows))
    return given if calibration is None else [*given, ("calibration" if given else "given", calibration)]


def _within_range(probe: Probe, mode: Mode | None) -> bool:
    """Half precision ends at 65,504: sums of numbers near it are infinite, as they may be."""
    if mode is None:
        return True
    half = mode.name == "float16" and any(np.abs(x).max(initial=0) > _MOST_IN_HALF for x in probe.arrays)
    return probe.name != INFINITE and not half


def _judged(probe: Probe, mode: Mode | None, noise_counts: bool) -> Probe:
    numbers = mode is None or (noise_counts and ordinary(probe))
    return probe if numbers else replace(probe, judged_for="finite")


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
