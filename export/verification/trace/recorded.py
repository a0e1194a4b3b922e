"""A few rows of the inputs, run in the model and in the file, with everything that lies between kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ...formats.protocol import ArtifactReader
from ...model.facts import ModelFacts
from ...model.precision import in_float32
from ...model.user_inputs import Arrays
from ..interface import Artifact
from ..pieces import in_pieces
from ..recording import Call, recording
from .laid_flat import Result, Value, value_of

_ROWS, _AT_ONCE = 16, 4
_MOST_NUMBERS = 2**25  # of results and values together, which are all in memory
_MOST_CALLS = 8  # of a part of a layer: a cell that is called in every step tells nothing


@dataclass(frozen=True)
class Graph:
    """The calls of a model, and for each the results, and what it takes that no other call made."""

    calls: list[Call]
    results: list[list[Result]]
    fed: list[list[Result]]


@dataclass(frozen=True)
class Recorded:
    """What the model as given and the one that was converted compute, and the file.

    `handed` are the keys of the results that the file hands out, with its names for them.
    """

    given: Graph
    converted: Graph
    inputs: list[Result]
    values: list[Value]
    handed: dict[object, str]
    rows: int


@dataclass
class _Run:
    """One piece of the inputs."""

    piece: Arrays
    given: list[Call]
    converted: list[Call]
    outputs: Arrays
    values: list[tuple[str, np.ndarray]]

    def like(self, other: _Run) -> bool:
        """Whether the same layers gave results of the same kind."""
        return self._outline() == other._outline()

    def numbers(self) -> int:
        found = (y for call in (*self.given, *self.converted) for y in (*call.outputs, *call.fed))
        return sum(y.size for y in found) + sum(value.size for _, value in self.values)

    def _outline(self) -> list[object]:
        calls = (*self.given, *self.converted)
        return [(call.layer, len(call.outputs), len(call.fed)) for call in calls] + [name for name, _ in self.values]


def record_all(
    given: ModelFacts, converted: ModelFacts, form: ArtifactReader, path: Path, artifact: Artifact, arrays: Arrays
) -> Recorded:
    """Run the first rows of `arrays`: at most 16, and as many as fit into memory.

    Raises:
        Exception: If the file does not run with every value kept; each runtime has exceptions of its own.
    """
    same = converted.model is given.model
    runs: list[_Run] = []
    for piece in _pieces(arrays, artifact.batch):
        others, outputs = _recorded(converted, piece)
        calls = others if same else _recorded(given, piece)[0]
        run = _Run(piece, calls, others, outputs, form.tensors(path, artifact.feed(piece)))
        if runs and not run.like(runs[0]):
            break  # on other numbers it takes another way
        runs.append(run)
        if (len(runs) + 1) * run.numbers() > _MOST_NUMBERS:
            break
    of_converted = _graph([run.converted for run in runs])
    names = artifact.to_output.values()
    outs = [Result([run.outputs[i] for run in runs]) for i in range(len(names))]
    return Recorded(
        given=of_converted if same else _graph([run.given for run in runs]),
        converted=of_converted,
        inputs=[Result(list(xs)) for xs in zip(*(run.piece for run in runs), strict=True) if xs[0].dtype.kind == "f"],
        values=[value_of(name, [run.values[i][1] for run in runs]) for i, (name, _) in enumerate(runs[0].values)],
        handed={result.key: name for result, name in zip(outs, names, strict=True)},
        rows=sum(max((len(x) for x in run.piece if x.ndim), default=1) for run in runs),
    )


def _pieces(arrays: Arrays, batch: int | None) -> Iterator[Arrays]:
    """As many rows at once as the file fixes, or 4; none that is filled up with copies, unless there is no other."""
    rows = 0
    for piece, kept in in_pieces(arrays, batch, _AT_ONCE):
        size = max((len(x) for x in piece if x.ndim), default=kept)
        if rows and (kept < size or rows + size > _ROWS):
            return
        rows += size
        yield piece


def _recorded(facts: ModelFacts, arrays: Arrays) -> tuple[list[Call], Arrays]:
    with in_float32(facts.model), recording(facts.model, operations=True) as calls:
        outputs = facts.declared.call(facts.model, arrays)
    return calls, [keras.ops.convert_to_numpy(y) for y in outputs]


def _graph(runs: list[list[Call]]) -> Graph:
    often = Counter(call.layer for call in runs[0] if not call.whole)
    results, fed = [], []
    for same in zip(*runs, strict=True):
        left_out = not same[0].whole and often[same[0].layer] > _MOST_CALLS
        results.append([] if left_out else [Result(list(ys)) for ys in zip(*(c.outputs for c in same), strict=True)])
        fed.append([] if left_out else [Result(list(xs)) for xs in zip(*(c.fed for c in same), strict=True)])
    return Graph(runs[0], results, fed)
