"""What only batch renormalization has: a step, a schedule in training, weights of its own, a first step."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_cases import BN, BRN, KBN, OPEN, inputs, oracle_inference, oracle_training, randomize
from versions import HAS_RENORM

from keras_norms import RenormSchedule


def _fit(layer, steps, shape=(4, 5, 5, 3), **compile_arguments):
    model = keras.Sequential([keras.Input(shape[1:]), layer, keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss=keras.losses.MeanSquaredError(), **compile_arguments)
    model.optimizer.build(model.trainable_variables)  # if the first step made its variables, it would be traced twice
    x, y = inputs((shape[0] * steps, *shape[1:])), np.ones((shape[0] * steps, 1), "float32")
    model.fit(x, y, batch_size=shape[0], verbose=0)
    return model


@pytest.mark.parametrize("jit", [False, True])
def test_the_step_counts_training_steps(jit):
    layer = BRN(schedule=RenormSchedule(warmup_steps=2, r_max_steps=4, d_max_steps=4))
    model = _fit(layer, 5, jit_compile=jit)
    assert layer.step.numpy() == 5
    model.predict(inputs((4, 5, 5, 3)), verbose=0)
    layer(inputs((4, 5, 5, 3)))
    assert layer.step.numpy() == 5
    assert [w.name for w in layer.weights] == ["gamma", "beta", "moving_mean", "moving_variance", "step"]
    assert layer.step.dtype == "int32"
    assert len(layer.trainable_weights) == 2


def test_no_retracing_as_the_step_grows():
    layer = BRN(schedule=RenormSchedule(warmup_steps=1, r_max_steps=4, d_max_steps=3))
    traces = []

    @tf.function(autograph=False)
    def step(x):
        traces.append(1)
        return layer(x, training=True)

    oracle = None
    for i in range(6):
        x = inputs((4, 6), seed=i)
        if oracle is None:
            layer.build(x.shape)
            oracle = oracle_training(layer)
        np.testing.assert_allclose(step(tf.constant(x)), oracle(x), rtol=0, atol=1e-5)
    assert len(traces) == 1


def test_the_step_survives_saving(tmp_path):
    layer = BRN(schedule=RenormSchedule(warmup_steps=2, r_max_steps=9, d_max_steps=9))
    model = _fit(layer, 4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert again.step.numpy() == 4
    assert again.schedule == layer.schedule
    x = inputs((4, 5, 5, 3), seed=9)
    np.testing.assert_allclose(again(x, training=True), layer(x, training=True), rtol=0, atol=1e-6)


def test_warm_up_is_batch_normalization():
    """The same outputs; the moving variances differ, as this layer averages the standard deviation."""
    layer, plain = BRN(), BN()
    for i in range(5):
        x = inputs((8, 6), seed=i)
        np.testing.assert_allclose(layer(x, training=True), plain(x, training=True), rtol=0, atol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, plain.moving_mean, rtol=1e-6)
    assert (layer.moving_variance.numpy() < plain.moving_variance.numpy()).all()


def test_open_limits_make_training_inference():
    """If r and d are not clipped, training and inference give the same output, which is the aim of the paper."""
    layer = randomize(BRN(schedule=RenormSchedule.constant(1e6, 1e6)), (8, 6))
    x = inputs((8, 6))
    expected = oracle_inference(layer, x)
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_first_step_is_safe(scale, offset):
    """The initial moving statistics, 0 and 1, are far off. The limits keep outputs within r_max * |x_hat| + d_max."""
    layer = BRN(schedule=OPEN)
    x = (inputs((8, 6), offset=offset, spread=1.0) * np.float32(scale)).astype("float32")
    y = np.asarray(layer(x, training=True))
    assert np.isfinite(y).all()
    assert np.abs(y).max() <= 3.0 * np.sqrt(8) + 5.0
    assert all(np.isfinite(w).all() for w in layer.get_weights())


def test_small_variances_are_kept():
    """Computed as sigma^2 - epsilon, a variance of 1e-9 would vanish beside an epsilon of 1e-3."""
    layer = BRN(momentum=0.5, moving_variance_initializer="zeros", schedule=OPEN)
    oracle = None
    for i in range(6):
        x = inputs((16, 4), seed=i, offset=0.0, spread=3e-5)
        if oracle is None:
            layer.build(x.shape)
            oracle = oracle_training(layer)
        layer(x, training=True)
        oracle(x)
    np.testing.assert_allclose(layer.moving_variance, oracle.moving_variance, rtol=1e-4)


def test_the_moving_variance_never_turns_negative():
    layer = BRN(momentum=0.0, schedule=OPEN)
    for value in (1.0, -7.0, 1e5):
        layer(np.full((4, 6), value, "float32"), training=True)
        assert (layer.moving_variance.numpy() >= 0).all()


@pytest.mark.parametrize(("center", "scale"), [(True, True), (False, True), (True, False), (False, False)])
def test_weights_of_batch_normalization(center, scale):
    """Of four weights, and of Keras' seven, the first four are set and the step is kept; of five, all are set."""
    layer = randomize(BRN(center=center, scale=scale), (4, 6))
    layer.step.assign(7)
    for renorm in ({}, {"renorm": True})[: 1 + HAS_RENORM]:
        source = randomize(KBN(center=center, scale=scale, **renorm), (4, 6), seed=3)
        layer.set_weights(source.get_weights())
        plain = 2 + center + scale
        for a, b in zip(layer.get_weights()[:plain], source.get_weights()[:plain], strict=True):
            np.testing.assert_array_equal(a, b)
        assert layer.step.numpy() == 7
    layer.set_weights([*layer.get_weights()[:-1], np.int32(11)])
    assert layer.step.numpy() == 11


def test_a_wrong_number_of_weights():
    layer = randomize(BRN(), (4, 6))
    with pytest.raises(ValueError, match="weight list of length 3"):
        layer.set_weights(layer.get_weights()[:3])
