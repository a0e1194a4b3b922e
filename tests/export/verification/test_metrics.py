"""The figures of a report, from arrays alone; the fold's relative error is made of the same parts."""

import numpy as np
import pytest
from keras_norms.export.folding.lockstep import difference
from keras_norms.export.model.relative_error import scale
from keras_norms.export.verification.metrics import distance

INF, NAN = np.inf, np.nan

# What the model says, the artifact says, what the output reaches elsewhere: max |error|, share of the scale, dB.
DISTANCES = {
    "equal": ([1.0, -2.0], [1.0, -2.0], 2.0, (0.0, 0.0, INF)),
    "a half off": ([1.0, -2.0], [1.0, -1.0], 2.0, (1.0, 0.5, 10 * np.log10(5))),
    "tiny beside what it reaches": ([1e-6], [2e-6], 1.0, (1e-6, 1e-3, 0.0)),
    "the same infinity": ([INF, 1.0], [INF, 1.0], 1.0, (0.0, 0.0, INF)),
    "the other infinity": ([INF, 1.0], [-INF, 1.0], 1.0, (INF, INF, -INF)),
    "the same NaN": ([NAN, 1.0], [NAN, 1.0], 1.0, (0.0, 0.0, INF)),
    "NaN alone": ([1.0, 1.0], [NAN, 1.0], 1.0, (INF, INF, -INF)),
    "zeros": ([0.0], [0.0], 0.0, (0.0, 0.0, INF)),
    "off from zeros": ([0.0], [1.0], 0.0, (1.0, INF, -3000.0)),
    "nothing": ([], [], 0.0, (0.0, 0.0, INF)),
}


@pytest.mark.parametrize("case", DISTANCES)
def test_the_distance_of_floats(case):
    y, other, reached, expected = DISTANCES[case]
    found = distance(np.array(y, "float64"), np.array(other, "float64"), reached)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_classes_and_flags_are_compared_by_the_share_that_differs():
    found = distance(np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), 5.0)
    assert found[:2] == (0.25, 0.25)
    assert found.sqnr_db == pytest.approx(-10 * np.log10(0.25))


def test_another_shape_has_nothing_alike():
    assert distance(np.zeros(3), np.zeros((3, 1)), 1.0) == (INF, INF, -INF)


def test_the_scale_is_the_largest_finite_magnitude():
    assert scale(np.array([1.0, -3.0, INF, NAN])) == 3.0
    assert scale(np.array([])) == scale(np.array(["a"])) == 0.0


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (np.float32([1, -2]), np.float32([1, -1]), 0.5),
        (np.float32([INF, 1]), np.float32([INF, 1]), 0.0),
        (np.float32([INF, 1]), np.float32([1, 1]), INF),
        (np.float32([NAN, 2]), np.float32([NAN, 1]), 0.5),
        (np.float32([0.0]), np.float32([2.0**-104]), 0.5),  # below the smallest number that float32 holds in full
        (np.int32([1]), np.int32([2]), INF),
        (np.float32([1]), np.float32([[1]]), INF),
    ],
)
def test_the_relative_error_of_a_fold(ours, theirs, expected):
    assert difference(ours, theirs) == expected
