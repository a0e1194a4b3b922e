"""Every layer equals its float64 oracle in inference and over 20 training steps."""

import keras
import numpy as np
import pytest
from layer_cases import CASES, inputs, oracle_inference, oracle_training, randomize, weight_values

import keras_norms

BATCH_CASES = tuple(case for case in CASES if case.has_batch_statistics)
DTYPES = {"float32": 2e-5, "float64": 1e-12}


def test_every_public_layer_has_a_case():
    layers = {
        value
        for value in vars(keras_norms).values()
        if isinstance(value, type)
        and issubclass(value, keras.layers.Layer)
        and not issubclass(value, keras.layers.Wrapper)
    }
    assert {case.layer for case in CASES} == layers


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_inference(case, dtype):
    layer = randomize(case.make(dtype=dtype), case.shape)
    x = inputs(case.shape, dtype=dtype)
    np.testing.assert_allclose(layer(x), oracle_inference(layer, x), rtol=0, atol=DTYPES[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BATCH_CASES, ids=lambda case: case.id)
def test_twenty_training_steps(case, dtype):
    layer = randomize(case.make(dtype=dtype), case.shape)
    oracle = oracle_training(layer)
    for step in range(20):
        x = inputs(case.shape, seed=step, dtype=dtype, offset=0.1 * step, spread=1 + 0.1 * step)
        np.testing.assert_allclose(layer(x, training=True), oracle(x), rtol=0, atol=DTYPES[dtype])
    found = weight_values(layer)
    np.testing.assert_allclose(found["moving_mean"], oracle.moving_mean, rtol=0, atol=DTYPES[dtype])
    np.testing.assert_allclose(found["moving_variance"], oracle.moving_variance, rtol=0, atol=DTYPES[dtype])
    np.testing.assert_allclose(layer(x), oracle_inference(layer, x), rtol=0, atol=DTYPES[dtype])


def _step(layer, optimizer):
    """One compiled training step: loss sum((y - target)^2), gradients applied to gamma and beta."""
    import tensorflow as tf

    @tf.function(jit_compile=False)
    def step(x, target):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(x, training=True) - target))
        optimizer.apply(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        return loss

    return step


@pytest.mark.parametrize("schedule", ["open", "climbing"])
def test_batch_renorm_learns_as_its_oracle_does(schedule):
    """20 steps of gradient descent on gamma and beta equal the same steps computed in float64."""
    limits = {
        "open": keras_norms.RenormSchedule.constant(2.0, 1.0),
        "climbing": keras_norms.RenormSchedule(3.0, 5.0, warmup_steps=4, r_max_steps=16, d_max_steps=10),
    }[schedule]
    rate = 0.1
    layer = randomize(keras_norms.BatchRenormalization(schedule=limits, momentum=0.9), (4, 3, 5, 6))
    oracle = oracle_training(layer)
    step = _step(layer, keras.optimizers.SGD(rate))
    for i in range(20):
        x, target = inputs((4, 3, 5, 6), seed=i, offset=1.0), inputs((4, 3, 5, 6), seed=100 + i)
        loss = float(step(x, target))
        corrected = (oracle(x) - oracle.beta) / oracle.gamma
        error = corrected * oracle.gamma + oracle.beta - target
        np.testing.assert_allclose(loss, np.mean(error**2), rtol=1e-5)
        oracle.gamma = oracle.gamma - rate * (2 / x.size) * (error * corrected).sum(axis=(0, 1, 2))
        oracle.beta = oracle.beta - rate * (2 / x.size) * error.sum(axis=(0, 1, 2))
    found = weight_values(layer)
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        np.testing.assert_allclose(found[name], getattr(oracle, name), rtol=0, atol=2e-5)
    assert found["step"] == 20
