"""The layers equal their counterparts in Keras, tf_keras and PyTorch, which these tests run."""

import keras
import numpy as np
import pytest
from layer_cases import BN, CASES, GN, IN, KBN, LN, inputs, oracle_inference, randomize, weight_values
from versions import HAS_RENORM

import keras_norms

TWINS = tuple(case for case in CASES if case.twin)


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.id)
def test_keras(case):
    """The layer accepts the weights of Keras' layer, and both stay equal over 20 training steps."""
    twin = randomize(case.make_twin(), case.shape)
    layer = case.make()
    layer.build(case.shape)
    assert [w.name for w in layer.weights] == [w.name for w in twin.weights]
    layer.set_weights(twin.get_weights())
    x = inputs(case.shape)
    np.testing.assert_allclose(layer(x), twin(x), rtol=0, atol=2e-5)
    # The layer compiled as Keras chooses to; how the twin is computed does not matter.
    losses = _train(layer, case.shape, jit="auto"), _train(twin, case.shape, jit=False)
    np.testing.assert_allclose(*losses, rtol=2e-5)
    for a, b in zip(layer.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def _train(layer, shape, jit, steps=20):
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    model.compile(keras.optimizers.SGD(0.05), loss=keras.losses.MeanSquaredError(), jit_compile=jit)
    model.optimizer.build(model.trainable_variables)  # if the first step made its variables, it would be traced twice
    return [model.train_on_batch(inputs(shape, seed=s), inputs(shape, seed=50 + s)) for s in range(steps)]


@pytest.mark.parametrize("case", TWINS, ids=lambda case: case.id)
def test_a_class_swap_in_a_keras_config(case):
    twin = case.make_twin()
    config = {k: v for k, v in twin.get_config().items() if not (case.layer is IN and k == "groups")}
    layer = case.layer.from_config(config)
    ours = layer.get_config()
    assert {k: ours[k] for k in config if k in ours} == {k: v for k, v in config.items() if k in ours}


@pytest.mark.skipif(not HAS_RENORM, reason="this Keras has no renorm")
def test_a_renorm_config_of_keras():
    twin = KBN(renorm=True, momentum=0.9, epsilon=1e-4)
    layer = keras_norms.BatchRenormalization.from_config(twin.get_config())
    twin.build((4, 6))
    layer.build((4, 6))
    values = [np.random.default_rng(i).uniform(0.5, 1, w.shape).astype("float32") for i, w in enumerate(twin.weights)]
    layer.set_weights(values)
    for a, b in zip(layer.get_weights()[:4], values[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-4)
    x = inputs((4, 6))
    twin.set_weights(values)
    np.testing.assert_allclose(layer(x), twin(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_renorm_of_tf_keras(fused):
    """tf_keras keeps the moving standard deviation of algorithm 1 beside the variance. Its limits are constants."""
    import tf_keras

    r_max, d_max = 2.0, 1.0
    twin = tf_keras.layers.BatchNormalization(
        renorm=True,
        renorm_clipping={"rmax": r_max, "rmin": 1 / r_max, "dmax": d_max},
        renorm_momentum=0.9,
        momentum=0.9,
        fused=False,
    )
    epsilon = twin.epsilon
    arguments = {} if fused else {"axis": 1}
    schedule = keras_norms.RenormSchedule.constant(r_max, d_max)
    layer = keras_norms.BatchRenormalization(momentum=0.9, schedule=schedule, **arguments)
    turn = (lambda x: x) if fused else (lambda x: np.moveaxis(x, -1, 1))
    turn_back = (lambda y: np.asarray(y)) if fused else (lambda y: np.moveaxis(np.asarray(y), 1, -1))
    twin.build((None, 5, 5, 6))
    # tf_keras starts its standard deviation at sqrt(1), this layer at sqrt(1 + epsilon): the same start for both.
    for weight in twin.weights:
        if "renorm_stddev" in weight.name:
            weight.assign(np.full(6, np.sqrt(1 + epsilon), "float32"))
    for step in range(20):
        x = inputs((4, 5, 5, 6), seed=step, offset=0.3 * step, spread=1 + 0.1 * step)
        expected = twin(x, training=True).numpy()
        np.testing.assert_allclose(turn_back(layer(turn(x), training=True)), expected, rtol=0, atol=5e-5)
    names = {w.name.split("/")[-1].split(":")[0]: w.numpy() for w in twin.weights}
    found = weight_values(layer)
    np.testing.assert_allclose(found["moving_mean"], names["renorm_mean"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.sqrt(found["moving_variance"] + epsilon), names["renorm_stddev"], rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 6, 5), (4, 6, 5, 3), (2, 6, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("kind", ["group", "instance", "layer", "batch"])
def test_pytorch(kind, shape):
    """PyTorch is channels-first; outputs and input gradients agree."""
    import tensorflow as tf

    torch = pytest.importorskip("torch")

    layer, twin = {
        "group": (GN(3, axis=1), torch.nn.GroupNorm(3, 6, eps=1e-3)),
        "instance": (IN(axis=1), torch.nn.GroupNorm(6, 6, eps=1e-3)),
        "layer": (LN(axis=[*range(1, len(shape))]), torch.nn.LayerNorm(shape[1:], eps=1e-3)),
        "batch": (
            BN(axis=1),
            (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)[len(shape) - 3](6, eps=1e-3),
        ),
    }[kind]
    layer = randomize(layer, shape)
    with torch.no_grad():
        twin.weight.copy_(torch.from_numpy(layer.gamma.numpy()))
        twin.bias.copy_(torch.from_numpy(layer.beta.numpy()))
    x, upstream = inputs(shape), inputs(shape, seed=5)
    seen = torch.from_numpy(x).requires_grad_()
    expected = twin(seen)
    expected.backward(torch.from_numpy(upstream))
    call = {"training": True} if kind == "batch" else {}
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        y = layer(x, **call)
    gradients = tape.gradient(y, [x, layer.gamma, layer.beta], output_gradients=upstream)
    np.testing.assert_allclose(y, expected.detach(), rtol=0, atol=2e-5)
    for found, value in zip(gradients, (seen, twin.weight, twin.bias), strict=True):
        np.testing.assert_allclose(found, value.grad, rtol=1e-4, atol=1e-4)


def test_pytorch_keeps_the_unbiased_variance():
    """PyTorch averages the unbiased variance; Keras and these layers average the biased one."""
    torch = pytest.importorskip("torch")

    x = inputs((8, 6))
    twin = torch.nn.BatchNorm1d(6, momentum=0.01, eps=1e-3)
    twin(torch.from_numpy(x))
    layer = BN()
    layer(x, training=True)
    unbiased = 1 + (layer.moving_variance.numpy() - 0.99) * 8 / 7 - 0.01
    np.testing.assert_allclose(twin.running_var, unbiased, rtol=1e-5)


def test_frozen_is_inference():
    layer, twin = (randomize(cls(), (8, 6)) for cls in (BN, KBN))
    x = inputs((8, 6))
    for norm in (layer, twin):
        norm.trainable = False
        before = norm.get_weights()
        norm(x, training=True)
        for a, b in zip(before, norm.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(layer(x, training=True), oracle_inference(layer, x), rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer(x, training=True), twin(x, training=True), rtol=0, atol=1e-5)
