"""Divisors and indices of a free batch: the numbers of Keras, which needs to know every size."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras_norms.export.saved_model.portable_integers import gcd, unravel_index

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")
FREE = tf.TensorSpec((None, 6), tf.int32)


def drawn(low, high, columns=6, seed=0):
    return np.random.default_rng(seed).integers(low, high, (9, columns)).astype(np.int32)


@pytest.mark.parametrize("columns", [6, 1])
def test_greatest_divisors(columns):
    x, y = drawn(-30, 60), drawn(-9, 9, columns, seed=1)
    x[0, :3], y[0, :1] = 0, 0
    assert (np.gcd(x, y) > 1).any()
    run = tf.function(gcd(backend_numpy.gcd), input_signature=[FREE, tf.TensorSpec((None, columns), tf.int32)])
    np.testing.assert_array_equal(run(x, y), np.gcd(x, y))


def test_indices_of_several_dimensions():
    i = drawn(0, 24)
    run = tf.function(lambda i: unravel_index(backend_numpy.unravel_index)(i, (2, 3, 4)), input_signature=[FREE])
    for ours, theirs in zip(run(i), backend_numpy.unravel_index(i, (2, 3, 4)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_known_shapes_are_left_to_keras():
    x, y, i = drawn(1, 60), drawn(1, 9, seed=1), np.arange(6)
    np.testing.assert_array_equal(gcd(backend_numpy.gcd)(x, y), np.gcd(x, y))
    for ours, theirs in zip(
        unravel_index(backend_numpy.unravel_index)(i, (2, 3)), np.unravel_index(i, (2, 3)), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_a_file_of_them(suffix, tmp_path):
    x, y = keras.Input((6,), dtype="int32"), keras.Input((6,), dtype="int32")
    model = keras.Model([x, y], [ops.gcd(x, y), ops.lcm(x, y), *ops.unravel_index(x, (6, 10))])
    report = EXPORTS[suffix](model, tmp_path / f"m{suffix}", inputs=[drawn(0, 60), drawn(-9, 9, seed=1)])
    assert all(check.max_abs == 0 for check in report.verification.checks)
