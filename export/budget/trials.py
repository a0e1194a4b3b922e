"""What a file is off on the calibration data: on a few rows in one runtime, or on many in all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.protocol import Format
from ..model.facts import ModelFacts
from ..model.precision import in_float32
from ..model.user_inputs import Arrays
from ..verification.interface import Artifact
from ..verification.metrics import distance
from ..verification.reference import run_model

_FEW, _MANY = 32, 256  # rows


@dataclass(frozen=True)
class Trials:
    """Rows of the calibration data, and what the model says to them."""

    form: Format[Any]
    facts: ModelFacts
    rows: Arrays
    expected: Arrays
    few: Arrays
    expected_of_few: Arrays

    @classmethod
    def of(cls, form: Format[Any], facts: ModelFacts, calibration: Arrays) -> Trials:
        many, few = (_spread(calibration, count) for count in (_MANY, _FEW))
        with in_float32(facts.model):
            return cls(form, facts, many, run_model(facts, many), few, run_model(facts, few))

    def noise(self, path: Path) -> float:
        """|y - y'|^2 / |y|^2, summed over the outputs of the file, on few rows in the runtime that most users have."""
        artifact = Artifact.of(path, {"usual": self.form.fastest(path)}, self.facts.signature)
        got = artifact.run("usual", self.few)
        return float(sum(10 ** (-_db(y, other) / 10) for y, other in zip(self.expected_of_few, got, strict=True)))

    def db(self, path: Path) -> float:
        """The lowest signal to noise ratio of an output, in any runtime, on many rows."""
        artifact = Artifact.of(path, self.form.runners(path), self.facts.signature)
        runs = [artifact.run(runtime, self.rows) for runtime in artifact.runners]
        return min(_db(y, other) for got in runs for y, other in zip(self.expected, got, strict=True))

    def least_db_of_all(self, path: Path, calibration: Arrays) -> float:
        """`db` on every row of the data."""
        with in_float32(self.facts.model):
            expected = run_model(self.facts, calibration)
        return replace(self, rows=calibration, expected=expected).db(path)


def _spread(arrays: Arrays, count: int) -> Arrays:
    """At most so many rows, from all over the data."""
    rows = max((len(x) for x in arrays if x.ndim), default=0)
    picked = np.unique(np.linspace(0, rows - 1, min(rows, count)).round().astype(int))
    return [x[picked] if x.ndim and len(x) == rows else x for x in arrays]


def _db(y: np.ndarray, other: np.ndarray) -> float:
    return distance(y, other, 0.0).sqnr_db
