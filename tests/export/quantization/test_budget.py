"""What a budget may be, and which of two files it prefers."""

import numpy as np
import pytest
from keras_norms.export import ExportError
from keras_norms.export.quantization.budget import Budget


def test_without_auto_there_is_none():
    assert Budget.of(None, None, None) is None
    assert Budget.of("int8", None, None) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("auto", None, None), r"needs max_bytes=.* or min_db="),
        (("int8", 10, None), "max_bytes is for quantize='auto'; quantize is 'int8'"),
        ((None, None, 30.0), "min_db is for quantize='auto'; quantize is None"),
        (("auto", 0, None), "max_bytes must be a positive integer; got 0"),
        (("auto", True, None), "max_bytes must be a positive integer; got True"),
        (("auto", 1e6, None), "max_bytes must be a positive integer; got 1000000.0"),
        (("auto", None, 0), "min_db must be a positive, finite number"),
        (("auto", None, float("inf")), "min_db must be a positive, finite number"),
        (("auto", None, float("nan")), "min_db must be a positive, finite number"),
        (("auto", None, "30"), "min_db must be a positive, finite number of decibels; got '30'"),
    ],
)
def test_what_cannot_be_kept_is_refused(given, message):
    with pytest.raises(ExportError, match=message):
        Budget.of(*given)


def test_numbers_of_numpy_will_do():
    assert Budget.of("auto", np.int64(7), np.float32(30)) == Budget(7, 30.0)


def test_the_smallest_is_wanted_where_decibels_are_asked_and_the_most_exact_where_not():
    small, exact = (100, 31.0), (200, 60.0)
    assert min((small, exact), key=lambda file: Budget(min_db=30).prefers(*file)) == small
    assert min((small, exact), key=lambda file: Budget(max_bytes=250).prefers(*file)) == exact
    assert min((small, exact), key=lambda file: Budget(max_bytes=250, min_db=30).prefers(*file)) == small
    assert not Budget(max_bytes=99).allows(*small)
    assert not Budget(min_db=31.5).allows(*small)
    assert Budget(max_bytes=100, min_db=31).allows(*small)
