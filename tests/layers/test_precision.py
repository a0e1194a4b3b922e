"""Half precision and inputs far from zero, where Keras' layers overflow or are inexact."""

import functools
from contextlib import nullcontext

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from layer_cases import BN, BRN, GN, IN, LN, OPEN, inputs

SHAPES = ((64, 32), (8, 100, 32), (16, 28, 28, 32))
LAYERS = (
    (BN, {}),
    (BN, {"epsilon": 1e-6}),
    (BN, {"axis": 1}),
    (BRN, {"schedule": OPEN}),
    (GN, {"groups": 4}),
    (IN, {}),
    (LN, {}),
)
# The largest error against float64, by the mean in standard deviations. At 1.9 the variance may be computed from the
# mean of x^2; at 15 only the input of batch norm's kernel is centred first. The errors of Keras' layers are 2e-3 to
# 9e-3 at 1e4 and 0.1 to 6 at 1e6.
LARGEST_ERROR = {1.9: 2e-5, 15.0: 1e-4, 1e4: 1e-4, 1e6: 2e-3}
MODES = ("graph", "jit")


def _expected(layer, x):
    ones, zeros = np.ones(x.shape[layer.axis]), np.zeros(x.shape[layer.axis])
    if isinstance(layer, BRN):
        return oracles.BatchRenorm(ones, zeros, zeros, ones, layer.schedule, epsilon=layer.epsilon, axis=layer.axis)(x)
    if isinstance(layer, BN):
        return oracles.BatchNorm(ones, zeros, zeros, ones, epsilon=layer.epsilon, axis=layer.axis)(x)
    if isinstance(layer, GN):
        return oracles.group_norm(x, layer.groups, ones, zeros, layer.epsilon, axis=layer.axis)
    if isinstance(layer, IN):
        return oracles.instance_norm(x, ones, zeros, layer.epsilon, axis=layer.axis)
    return oracles.layer_norm(x, ones, zeros, layer.epsilon, axis=layer.axis)


def _function(layer, mode):
    """The layer as a graph, in training where it has that mode; "tape" records a gradient, "jit" compiles by XLA."""
    call = {"training": True} if isinstance(layer, BN) else {}

    def run(x):
        with tf.GradientTape() if mode == "tape" else nullcontext():
            return layer(x, **call)

    return tf.function(run, jit_compile=mode == "jit", autograph=False)


def _run(layer, x, mode):
    return np.asarray(_function(layer, mode)(tf.constant(x)))


@functools.lru_cache(maxsize=8)  # tests of one row and shape follow each other
def _shared(row, shape, mode, **more):
    """The layer of a row of LAYERS with its graph for inputs of a shape, traced once, and its initial weights."""
    kind, arguments = LAYERS[row]
    layer = kind(**{**arguments, **more})
    layer.build(shape)
    return layer, _function(layer, mode), layer.get_weights()


def _run_shared(row, x, mode, **more):
    """The layer and its output for x, from its initial weights."""
    layer, function, weights = _shared(row, x.shape, mode, **more)
    layer.set_weights(weights)
    return layer, np.asarray(function(tf.constant(x)))


@functools.lru_cache(maxsize=4)
def _far_input(shape, offset):
    return inputs(shape, offset=offset, spread=1.0)


@functools.lru_cache(maxsize=4)
def _far_expected(row, shape, offset):
    return _expected(_shared(row, shape, "graph")[0], _far_input(shape, offset))


@pytest.mark.parametrize("offset", LARGEST_ERROR)
@pytest.mark.parametrize(
    ("row", "shape", "mode"),
    [
        pytest.param(row, shape, mode, id=f"{kind.__name__}-{str(arguments)[:20]}-{str(shape)[:20]}-{mode}")
        for row, (kind, arguments) in enumerate(LAYERS)
        for shape in SHAPES
        if kind is not IN or len(shape) > 2
        for mode in (MODES if issubclass(kind, BN) else (*MODES, "tape"))  # a tape lets the others use more kernels
    ],
)
def test_far_from_zero(row, shape, mode, offset):
    _, y = _run_shared(row, _far_input(shape, offset), mode)
    assert np.abs(y - _far_expected(row, shape, offset)).max() <= LARGEST_ERROR[offset]


@pytest.mark.parametrize("mode", MODES)
def test_the_references_fail_this(mode):
    """This shows that the limit above can be exceeded."""
    x = inputs((16, 28, 28, 32), offset=1e4, spread=1.0)
    for twin, layer in ((keras.layers.BatchNormalization(), BN()), (keras.layers.GroupNormalization(4), GN(4))):
        call = {"training": True} if isinstance(layer, BN) else {}
        run = tf.function(lambda x, twin=twin, call=call: twin(x, **call), jit_compile=mode == "jit", autograph=False)
        assert np.abs(run(tf.constant(x)) - _expected(layer, x)).max() > LARGEST_ERROR[1e4]


@pytest.mark.parametrize("offset", [3.0, 15.0, 1e4])
@pytest.mark.parametrize("layer", [BN(), GN(4), IN(), LN()], ids=lambda v: type(v).__name__)
def test_gradient_of_gamma_far_from_zero(layer, offset):
    """The gradient multiplies the error of the mean by the sum of the upstream gradient, whose mean is 0.5 here."""
    layer = type(layer).from_config(layer.get_config())
    x, upstream = inputs((16, 28, 28, 32), offset=offset, spread=1.0), inputs((16, 28, 28, 32), seed=5, spread=1.0)
    layer.build(x.shape)
    call = {"training": True} if isinstance(layer, BN) else {}
    with tf.GradientTape() as tape:
        y = layer(tf.constant(x), **call)
    found = tape.gradient(y, layer.gamma.value, output_gradients=upstream)
    expected = (upstream * _expected(layer, x)).sum(axis=(0, 1, 2))
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize(("layer", "arguments"), LAYERS, ids=lambda v: getattr(v, "__name__", str(v)[:20]))
def test_an_outlier_in_the_first_place(layer, arguments, axis):
    """The first value can be the pivot. Even if it is an outlier, the error of the others stays small."""
    layer = layer(**{**arguments, "axis": axis})
    x = inputs((4, 8, 6, 8), spread=1.0)
    x[0, 0, 0, 0] = 1e5
    error = np.abs(_run(layer, x, "graph") - _expected(layer, x)).max()
    assert error <= 1e-4


def test_some_channels_far_from_zero():
    """If one channel is far from zero, all are centred first, and all are exact."""
    x = inputs((16, 8, 8, 6), spread=1.0, offset=0.0) + np.array([0, 1e4, 0, -1e5, 3, 1e6], "float32")
    for layer in (BN(), BRN(schedule=OPEN)):
        y = _run(layer, x, "graph")
        assert np.abs(y - _expected(layer, x)).max() <= 1e-4


@pytest.mark.parametrize("value", [1234.0, 1e-3, 0.0, -3e5])
@pytest.mark.parametrize(
    "row", range(len(LAYERS)), ids=lambda row: f"{LAYERS[row][0].__name__}-{str(LAYERS[row][1])[:20]}"
)
def test_a_constant_input_gives_beta(row, value):
    more = {"schedule": type(OPEN).constant(1.0, 0.0)} if LAYERS[row][0] is BRN else {}
    _, y = _run_shared(row, np.full((4, 7, 7, 8), value, "float32"), "graph", beta_initializer="ones", **more)
    np.testing.assert_allclose(y, 1.0, rtol=0, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("layer", "arguments"), LAYERS, ids=lambda v: getattr(v, "__name__", str(v)[:20]))
def test_mixed_precision_of_large_inputs(layer, arguments, policy, mode):
    layer = layer(**{**arguments, "dtype": policy})
    x = inputs((8, 6, 6, 8), offset=1e5, spread=1e5)
    y = _run(layer, x, mode)
    assert y.dtype == layer.compute_dtype
    assert {w.dtype for w in layer.weights if w.name != "step"} == {"float32"}
    rounding = 2e-3 if policy == "mixed_float16" else 1.6e-2
    np.testing.assert_allclose(y.astype("float64"), _expected(layer, x), rtol=rounding, atol=rounding)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("half", ["float16", "bfloat16"])
@pytest.mark.parametrize(("layer", "arguments"), LAYERS, ids=lambda v: getattr(v, "__name__", str(v)[:20]))
def test_half_precision_inputs(layer, arguments, half, mode):
    """Inputs already in half precision: statistics are as exact as those of the same values in float32."""
    layer = layer(**{**arguments, "dtype": f"mixed_{half}", "axis": -1})
    x = tf.cast(inputs((8, 6, 6, 8), offset=30.0, spread=10.0), half)
    call = {"training": True} if isinstance(layer, BN) else {}
    y = tf.function(lambda x: layer(x, **call), jit_compile=mode == "jit", autograph=False)(x)
    expected = _expected(layer, tf.cast(x, "float32").numpy())
    rounding = 2e-3 if half == "float16" else 1.6e-2
    np.testing.assert_allclose(tf.cast(y, "float64"), expected, rtol=rounding, atol=rounding)


def test_half_precision_into_a_float32_layer():
    """The output is not rounded to the input's precision."""
    x = tf.cast(inputs((8, 6, 6, 8)), "float16")
    layer = BN()
    y = layer(x, training=True)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, _expected(layer, tf.cast(x, "float32").numpy()), rtol=0, atol=1e-5)


def test_keras_overflows_there():
    x = inputs((8, 6, 6, 8), offset=1e5, spread=1e5)
    y = keras.layers.BatchNormalization(dtype="mixed_float16")(x, training=True)
    assert not np.isfinite(np.asarray(y, "float32")).all()
