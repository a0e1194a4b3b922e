"""How long a file takes on this machine: one input at a time, on one thread, in a process that does nothing else.

The figure is the median over rounds of the median of a round: other work on the machine makes single runs slower, never
faster. For a ratio the two files take turns, so that what slows the machine slows both.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import keras
import numpy as np

from ..formats.isolated import IsolatedReader, isolated_reader
from ..model.facts import ModelFacts
from ..model.test_inputs import probes
from ..verification.cases import given_cases
from ..verification.interface import Artifact
from .tasks import ExportTask

_ROUNDS, _SECONDS = 5, 0.1


def median_ms(model: keras.Model, task: ExportTask, path: Path) -> float:
    """Milliseconds that one input takes."""
    timed = _Timed(model, task, path)
    return statistics.median(timed.round() for _ in range(_ROUNDS))


def median_ratio(model: keras.Model, task: ExportTask, path: Path, other: Path) -> float:
    """The time of one input in `path` as a share of that in `other`."""
    ours, theirs = _Timed(model, task, path), _Timed(model, task, other)
    return statistics.median(ours.round() / theirs.round() for _ in range(_ROUNDS))


class _Timed:
    """A file and one input for it."""

    def __init__(self, model: keras.Model, task: ExportTask, path: Path) -> None:
        self._path, self._reader = path, isolated_reader(path)
        self._feed = _one_input(ModelFacts.of(model), task, path, self._reader)

    def round(self) -> float:
        return statistics.median(self._reader.run_times(self._path, self._feed, _SECONDS))


def _one_input(facts: ModelFacts, task: ExportTask, path: Path, reader: IsolatedReader) -> dict[str, np.ndarray]:
    artifact = Artifact.of(path, reader.runners(path), facts.signature)
    facts = facts.with_batch(artifact.batch)
    rows, data = facts.signature.batch or 1, task["inputs"] or task["calibration"]
    if data is not None:
        _, arrays = given_cases(data, facts.declared)[0]
        if all(len(array) >= rows for array in arrays):
            return artifact.feed([array[:rows] for array in arrays])
    return artifact.feed(probes(facts.model, facts.signature)[0].arrays)
