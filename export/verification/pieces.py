"""Many rows, run piece by piece: as many at a time as a file fixes, or few enough to be small in memory.

The model and the artifact are cut alike, so what is compared are whole arrays, and it does not matter whether the rows
of a batch affect each other: both see the same batches. A fixed batch that is not full is filled with copies of the
last row. Those copies are dropped from every output that has a row for each row of the input. Other outputs (a sum over
the batch, or all time steps of all rows in one dimension) are kept whole; their copies of a row repeat what is judged
anyway.

Joining several pieces can hide that an output has another shape than the model's, as in () against (1,). Every artifact
is also tried on probes, which are one piece: their outputs come as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..model.user_inputs import Arrays

# Where the batch is free: the most rows of a piece, and the most numbers of any of its inputs.
MOST_ROWS, MOST_NUMBERS = 32, 2**22


def in_pieces(arrays: Arrays, batch: int | None, rows: int = MOST_ROWS) -> Iterator[tuple[Arrays, int]]:
    """Each piece, and how many of its rows are the input's own; the others repeat the last one.

    `batch` is the size that the artifact fixes. If None, a piece has at most `rows` rows, fewer where rows are large.
    Inputs without a batch go into every piece. Inputs that differ in their number of rows cannot be cut: they are one
    piece.
    """
    counts = {len(x) for x in arrays if x.ndim}
    if len(counts) != 1:
        yield arrays, max(counts, default=0)
        return
    count = counts.pop()
    size = _free_size(arrays, rows) if batch is None else batch
    for start in range(0, max(count, 1), size):
        kept = min(size, count - start)
        picked = np.minimum(np.arange(start, start + (kept if batch is None else size)), count - 1)
        yield [x[picked] if x.ndim and len(picked) != count else x for x in arrays], kept


def run_in_pieces(run: Callable[[Arrays], Arrays], arrays: Arrays, batch: int | None, rows: int = MOST_ROWS) -> Arrays:
    """What `run` gives for the rows of `arrays`, cut as `in_pieces` does; each output of all pieces is one array.

    Outputs are joined along their first dimension, scalars to one dimension. Where the other dimensions differ from
    piece to piece, because they depend on the numbers, the output is one flat array.
    """
    parts: list[Arrays] = []
    for piece, kept in in_pieces(arrays, batch, rows):
        fed = max((len(x) for x in piece if x.ndim), default=kept)
        parts.append([_own_rows(y, fed, kept) for y in run(piece)])
    return parts[0] if len(parts) == 1 else [_joined(ys) for ys in zip(*parts, strict=True)]


def _free_size(arrays: Arrays, rows: int) -> int:
    largest = max(x[:1].size for x in arrays if x.ndim)
    return min(rows, max(1, MOST_NUMBERS // max(largest, 1)))


def _own_rows(y: np.ndarray, fed: int, kept: int) -> np.ndarray:
    return y[:kept] if y.ndim and len(y) == fed else y


def _joined(ys: tuple[np.ndarray, ...]) -> np.ndarray:
    if not ys[0].ndim:
        return np.stack(ys)
    alike = len({y.shape[1:] for y in ys}) == 1
    return np.concatenate(ys if alike else [y.ravel() for y in ys])
