"""One infinite number: what comes of it elsewhere is a leak, but for a weight of zero in its own sample."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.model.test_inputs import Probe
from keras_norms.export.verification.reference import Redraws, Reference

L = keras.layers


def left_out(function, batch=2):
    """How many numbers are not judged of a file that computes `function`, where the model hands its input through."""
    x = np.random.default_rng(0).normal(size=(batch, 4)).astype("float32")
    x.flat[:2] = np.inf, 1.0
    judged = np.ones(x.shape, bool)
    judged[0, 0] = False
    with np.errstate(invalid="ignore"):
        got = function(x)
        told, count = Reference([x], [x], [judged]).without_zero_weights([got], Redraws(run_of(function), probe(x)))
    assert count == judged.sum() - told.judged[0].sum()
    return [tuple(at) for at in np.argwhere(judged & ~told.judged[0]).tolist()]


def run_of(function):
    return lambda arrays: [function(x) for x in arrays]


def probe(x):
    return Probe("one infinity", [x], "")


def added(share, at):
    """The first number, times a share, added to the number at a place."""

    def function(x):
        y = x.copy()
        y[at] += np.float32(share) * x[0, 0]
        return y

    return function


def test_an_infinity_times_zero_in_its_own_sample_is_no_leak():
    assert left_out(added(0.0, (0, 2))) == [(0, 2)]


def test_a_finite_number_is_none():
    def half(x):
        y = x.copy()
        y[0, 2] = 0.5
        return y

    assert left_out(half) == []


def test_in_another_sample_it_is_one():
    assert left_out(added(0.0, (1, 2))) == []


@pytest.mark.parametrize("share", [1e-3, 0.5, -1.0])
def test_a_leak_that_finite_numbers_show_stays_one(share):
    assert left_out(added(share, (0, 2))) == []


def test_a_leak_that_the_numbers_around_it_sometimes_hide_stays_one():
    """A maximum lets the first number through only where it is larger than the one beside it."""

    def function(x):
        y = x.copy()
        y[0, 2] = np.where(x[0, 1] > 0, x[0, 0], x[0, 2])
        return y

    assert left_out(function) == []


@pytest.mark.runtime
def test_an_interpolation_with_weights_of_zero_is_exported_and_the_report_says_so(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((4, 4, 2), name="x")
    y = L.ZeroPadding2D(1)(L.Conv2D(4, 1)(x))
    y = L.UpSampling2D(2, interpolation="bilinear", data_format="channels_first")(y)
    report = to_onnx(keras.Model(x, L.Dense(6, name="y")(y)), tmp_path / "m.onnx").verification
    assert "not judged: one infinity, " in str(report)
    assert "an infinity times a weight of zero" in str(report)
