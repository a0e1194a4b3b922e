"""virtual_batch_size: each slice of n samples has its own training statistics."""

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from layer_cases import BN, BRN, OPEN, inputs, oracle_inference, oracle_training, randomize

ROWS = ((BN, {}, (8, 6)), (BN, {}, (8, 5, 6)), (BN, {"axis": 1}, (8, 6, 3, 5)), (BRN, {"schedule": OPEN}, (8, 5, 6)))
MODES = ("eager", "dynamic", "jit")


def _run(layer, x, mode, **call):
    run = lambda x: layer(x, training=True, **call)  # noqa: E731
    if mode == "dynamic":
        spec = tf.TensorSpec([None, *x.shape[1:]], x.dtype)
        run = tf.function(run, input_signature=[spec], autograph=False)
    elif mode == "jit":
        run = tf.function(run, jit_compile=True, autograph=False)
    return np.asarray(run(tf.constant(x)))


def _expected(layer, x, n, masks=None):
    """The outputs of all slices, each from the same moving statistics, and the slices' updates, averaged by size."""
    starts = range(0, len(x), n)
    found, weights = [], []
    for start in starts:
        part = slice(start, start + n)
        oracle = oracle_training(layer)
        y = oracle(x[part], None if masks is None else masks[part])
        count = oracles.batch_moments(x[part], layer.axis, None if masks is None else masks[part])[2]
        found.append((y, oracle.moving_mean, oracle.moving_variance))
        weights.append(count)
    y, means, variances = zip(*found, strict=True)
    return np.concatenate(y), np.average(means, axis=0, weights=weights), np.average(variances, axis=0, weights=weights)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [2, 4, 8, 3, 5, 100])
@pytest.mark.parametrize(("layer", "arguments", "shape"), ROWS, ids=str)
def test_against_the_oracle_slice_by_slice(layer, arguments, shape, n, mode):
    """If n does not divide the batch, the last slice is the remainder."""
    layer = randomize(layer(virtual_batch_size=n, **arguments), shape)
    x = inputs(shape)
    y, mean, variance = _expected(layer, x, n)
    np.testing.assert_allclose(_run(layer, x, mode), y, rtol=0, atol=2e-5)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=0, atol=1e-5)


def test_masks():
    layer = randomize(BN(virtual_batch_size=3), (8, 5, 6))
    x, mask = inputs((8, 5, 6)), np.random.default_rng(0).random((8, 5)) < 0.6
    y, mean, variance = _expected(layer, x, 3, mask)
    found = _run(layer, x, "eager", mask=mask)
    np.testing.assert_allclose(found, y, rtol=0, atol=2e-5)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 5, 16])
def test_inference_of_any_batch_size(batch):
    layer = randomize(BN(virtual_batch_size=4), (8, 6))
    x = inputs((batch, 6))
    np.testing.assert_allclose(layer(x), oracle_inference(layer, x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", [BN, BRN])
def test_fit_with_a_last_batch_of_another_size(layer):
    model = keras.Sequential([keras.Input((6,)), layer(virtual_batch_size=4), keras.layers.Dense(1)])
    model.compile("sgd", keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)  # if the first step made its variables, it would be traced twice
    history = model.fit(inputs((21, 6)), np.ones((21, 1), "float32"), batch_size=8, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_the_whole_batch_as_one_slice_is_plain():
    x = inputs((8, 5, 6))
    ghost, plain = BN(virtual_batch_size=8), BN()
    np.testing.assert_allclose(ghost(x, training=True), plain(x, training=True), rtol=0, atol=1e-5)
    np.testing.assert_allclose(ghost.moving_variance, plain.moving_variance, rtol=1e-5)
