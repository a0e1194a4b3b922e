"""How far each output moves from one input to another: an output that stays the same compares nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..model.relative_error import scale
from ..model.test_inputs import WIDE, Probe
from .reference import Reference
from .tolerance import ordinary

_ROWS = 64


def movements(
    expectations: list[tuple[Probe, Reference]], outputs: tuple[str, ...], compared: set[tuple[str, str]]
) -> dict[str, float]:
    """How far each output moves, as a share of its scale; without those of which only one value is known.

    A wide input counts for the outputs whose numbers are `compared` on it: pairs of an input and an output.
    """
    found = {}
    for i, name in enumerate(outputs):
        told = [one for one in expectations if ordinary(one[0]) or (one[0].name == WIDE and (WIDE, name) in compared)]
        found[name] = _moves([row for one in told for row in _rows(i, *one)])
    return {name: share for name, share in found.items() if share is not None}


def _rows(i: int, case: Probe, expected: Reference) -> Iterator[np.ndarray]:
    y = expected.outputs[i]
    counts = {len(x) for x in case.arrays if x.ndim}
    if y.ndim and counts == {len(y)}:
        yield from y[:_ROWS]
    else:
        yield y


def _moves(values: list[np.ndarray]) -> float | None:
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
    for value in values:
        by_shape.setdefault(value.shape, []).append(value)
    shares = [_spread(np.stack(alike)) for alike in by_shape.values() if len(alike) > 1]
    return max(shares) if shares else None


def _spread(rows: np.ndarray) -> float:
    if rows.dtype.kind != "f":
        return float(np.mean((rows != rows[0]).any(0))) if rows.size else 0.0
    finite = np.where(np.isfinite(rows), rows, 0.0).astype(np.float64)
    top = scale(finite)
    return float(np.ptp(finite, axis=0).max(initial=0.0)) / top if top else 0.0
