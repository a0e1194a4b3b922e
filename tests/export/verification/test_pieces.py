"""Rows in pieces of the batch that a file fixes: every row is run once, and what fills a batch up is not judged."""

import numpy as np
import pytest
from keras_norms.export.verification.pieces import MOST_NUMBERS, MOST_ROWS, in_pieces, run_in_pieces

X = np.arange(14.0).reshape(7, 2)


class Recorder:
    """Doubles its input, and keeps what it was given."""

    def __init__(self):
        self.given = []

    def __call__(self, arrays):
        self.given.append(arrays)
        return [2 * arrays[0]]


@pytest.mark.parametrize(("batch", "fed"), [(1, [1] * 7), (3, [3, 3, 3]), (7, [7]), (16, [16]), (None, [7])], ids=str)
def test_every_row_is_run_once_in_batches_of_the_fixed_size(batch, fed):
    run = Recorder()
    (got,) = run_in_pieces(run, [X], batch)
    np.testing.assert_array_equal(got, 2 * X)
    assert [len(x) for (x,) in run.given] == fed
    filled = np.concatenate([x for (x,) in run.given])
    np.testing.assert_array_equal(filled[:7], X)
    assert (filled[7:] == X[-1]).all(), "the last row fills the batch up"


def test_a_free_batch_is_cut_so_that_memory_stays_small():
    many, large = np.zeros((2 * MOST_ROWS + 1, 2)), np.broadcast_to(0.0, (5, MOST_NUMBERS // 2))
    assert [kept for _, kept in in_pieces([many], None)] == [MOST_ROWS, MOST_ROWS, 1]
    assert [len(x) for (x,), _ in in_pieces([many], None)] == [MOST_ROWS, MOST_ROWS, 1], "nothing is filled up"
    assert [kept for _, kept in in_pieces([large], None)] == [2, 2, 1]
    assert [kept for _, kept in in_pieces([np.broadcast_to(0.0, (2, 2 * MOST_NUMBERS))], None)] == [1, 1]


def test_inputs_are_cut_alike():
    seen = list(in_pieces([X, 10 * X[:, 0], np.float32(3)], 4))
    assert [kept for _, kept in seen] == [4, 3]
    for (x, y, scalar), _ in seen:
        np.testing.assert_array_equal(10 * x[:, 0], y)
        assert scalar == 3, "no batch: goes into every piece"


def test_inputs_of_different_numbers_of_rows_are_one_piece():
    ((arrays, _),) = in_pieces([np.zeros((100, 2)), np.zeros((1, 2))], None)
    assert [len(x) for x in arrays] == [100, 1]


OUTPUTS = {
    "rows": (lambda x: x, lambda x: x),
    "classes": (lambda x: x[:, 0].astype("int64"), lambda x: x[:, 0].astype("int64")),
    "sum of the batch": (lambda x: x.sum(), lambda x: np.array([x[:3].sum(), x[3:6].sum(), 3 * x[6].sum()])),
    "sum of the rows": (lambda x: x.sum(0), lambda x: np.concatenate([x[:3].sum(0), x[3:6].sum(0), 3 * x[6]])),
    "flattened": (lambda x: x.reshape(-1, 1), lambda x: np.concatenate([x, x[-1:], x[-1:]]).reshape(-1, 1)),
    "columns by content": (lambda x: x[:, : int(x[0, 0] / 6) + 1][None], None),
}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_of_any_shape_are_joined(kind):
    compute, expected = OUTPUTS[kind]
    (got,) = run_in_pieces(lambda arrays: [np.asarray(compute(arrays[0]))], [X], 3)
    if expected is None:
        assert got.ndim == 1
    else:
        np.testing.assert_array_equal(got, expected(X))
        assert got.dtype == np.asarray(expected(X)).dtype


@pytest.mark.parametrize("output", [np.float32(3), np.zeros(5), np.zeros((7, 5)), np.zeros((2, 7))], ids=np.shape)
def test_one_piece_gives_its_outputs_as_they_are(output):
    """So that a wrong shape is seen."""
    for batch in (7, None):
        (got,) = run_in_pieces(lambda _: [output], [X], batch)
        assert got is output or got.shape == output.shape
