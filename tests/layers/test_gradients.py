"""Gradients: those of batch statistics equal the papers' backward pass, the others equal central differences."""

import functools

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from layer_cases import CASES, inputs, oracle_inference, oracle_training, randomize, weight_values

import keras_norms

BATCH_CASES = tuple(case for case in CASES if case.has_batch_statistics)
SAMPLE_CASES = tuple(case for case in CASES if not case.has_batch_statistics and np.prod(case.shape) <= 360)
DTYPES = {"float32": 2e-4, "float64": 1e-7}
MODES = ("eager", "graph", "jit")


def _in_mode(function, mode):
    if mode == "eager":
        return function
    # TensorFlow leaves no lighter check of the compiled form than compiling it.
    return tf.function(function, jit_compile=mode == "jit", autograph=False)


def gradients(layer, x, upstream, mode="graph", **call_arguments):
    """dx and the gradients of the trainable weights by name."""

    def run(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **call_arguments)
        return tape.gradient(y, [x, *layer.trainable_weights], output_gradients=tf.cast(upstream, y.dtype))

    dx, *rest = _in_mode(run, mode)(tf.constant(x), tf.constant(upstream))
    return dx.numpy(), {w.name: g.numpy() for w, g in zip(layer.trainable_weights, rest, strict=True)}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", BATCH_CASES, ids=lambda case: case.id)
def test_batch_statistics(case, dtype):
    layer = randomize(case.make(dtype=dtype), case.shape)
    x, upstream = inputs(case.shape, dtype=dtype), inputs(case.shape, seed=5, dtype=dtype)
    _check_batch_gradient(layer, x, upstream, DTYPES[dtype])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layer", [keras_norms.BatchNormalization, keras_norms.BatchRenormalization])
def test_batch_statistics_in_every_mode(layer, mode):
    arguments = {"schedule": keras_norms.RenormSchedule.constant(3, 5)} if "Renorm" in layer.__name__ else {}
    layer = randomize(layer(**arguments), (4, 3, 5, 6))
    x, upstream = inputs((4, 3, 5, 6)), inputs((4, 3, 5, 6), seed=5)
    _check_batch_gradient(layer, x, upstream, DTYPES["float32"], mode=mode)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("layer", [keras_norms.BatchNormalization, keras_norms.BatchRenormalization])
def test_masked_batch_statistics(layer, axis):
    shape = (4, 7, 3) if axis == -1 else (4, 3, 7)
    layer = randomize(layer(axis=axis), shape)
    mask = np.random.default_rng(3).random((4, 7)) < 0.6
    _check_batch_gradient(layer, inputs(shape), inputs(shape, seed=5), DTYPES["float32"], mask=mask)


def _check_batch_gradient(layer, x, upstream, tolerance, mode="graph", mask=None):
    oracle, w = oracle_training(layer), weight_values(layer)
    mean, variance, _ = oracles.batch_moments(x, layer.axis, mask)
    r, d = oracle.corrections(mean, variance) if isinstance(layer, keras_norms.BatchRenormalization) else (1.0, 0.0)
    call = {"training": True} if mask is None else {"training": True, "mask": mask}
    dx, found = gradients(layer, x, upstream, mode, **call)
    expected_dx, *expected = oracles.batch_norm_gradient(
        x, w["gamma"], upstream, layer.epsilon, layer.axis, r, d, mask=mask
    )
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=tolerance)
    for name, value in zip(("gamma", "beta"), expected, strict=True):
        if name in found:
            np.testing.assert_allclose(found[name], value, rtol=0, atol=tolerance * 10)


def test_r_and_d_are_constants_of_the_gradient():
    """If r and d were differentiated, an unclipped renormalization would have the gradient of a fixed affine map."""
    layer = keras_norms.BatchRenormalization(schedule=keras_norms.RenormSchedule.constant(100.0, 100.0))
    layer = randomize(layer, (4, 3, 5, 6))
    x, upstream = inputs((4, 3, 5, 6)), inputs((4, 3, 5, 6), seed=5)
    dx, _ = gradients(layer, x, upstream, training=True)
    # Training batch statistics make the gradient orthogonal to a shift of the whole channel; a fixed map does not.
    np.testing.assert_allclose(dx.sum(axis=(0, 1, 2)), 0, atol=1e-4)


@pytest.mark.parametrize("case", SAMPLE_CASES, ids=lambda case: case.id)
def test_sample_statistics(case):
    layer = randomize(case.make(dtype="float64"), case.shape)
    x, upstream = inputs(case.shape, dtype="float64"), inputs(case.shape, seed=5, dtype="float64")
    dx, found = gradients(layer, x, upstream)
    # Sample by sample: by the oracle, no sample depends on another.
    samples = zip(np.split(x, len(x)), np.split(upstream, len(x)), strict=True)
    expected = [oracles.numeric_gradient(lambda v: oracle_inference(layer, v), *sample) for sample in samples]
    expected = np.concatenate(expected)
    np.testing.assert_allclose(dx, expected, rtol=0, atol=1e-7)
    _check_affine_gradient(layer, x, upstream, found, 1e-10)


def _check_affine_gradient(layer, x, upstream, found, tolerance):
    """The gradients of gamma and beta are sums of upstream * x_hat and of upstream, over the axes without weights."""
    for name, weight in (("gamma", layer.gamma), ("beta", layer.beta)):
        if weight is None:
            continue
        axes = np.atleast_1d(layer.axis) % x.ndim
        others = tuple(a for a in range(x.ndim) if a not in axes)
        saved = [keras.ops.convert_to_numpy(w) for w in layer.weights]
        layer.set_weights([np.full_like(w, w.name == "gamma") for w in layer.weights])
        x_hat = oracle_inference(layer, x) if name == "gamma" else 1.0
        layer.set_weights(saved)
        np.testing.assert_allclose(found[name], (upstream * x_hat).sum(axis=others), rtol=0, atol=tolerance)


@functools.cache
def _gradients_in_float64(row):
    """The gradients in float64 that every mode of a row of SAMPLE_CASES is compared with."""
    case = SAMPLE_CASES[row]
    wide = randomize(case.make(dtype="float64"), case.shape)
    return gradients(wide, inputs(case.shape).astype("float64"), inputs(case.shape, seed=5).astype("float64"))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", range(len(SAMPLE_CASES)), ids=lambda row: SAMPLE_CASES[row].id)
def test_sample_statistics_in_float32(row, mode):
    case = SAMPLE_CASES[row]
    narrow = randomize(case.make(), case.shape)
    dx, found = gradients(narrow, inputs(case.shape), inputs(case.shape, seed=5), mode)
    expected_dx, expected = _gradients_in_float64(row)
    np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=2e-5 * max(1, np.abs(expected_dx).max()))
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-4)


TWICE = (
    (keras_norms.GroupNormalization, {"groups": 2}, keras.layers.GroupNormalization, {"groups": 2}),
    (keras_norms.InstanceNormalization, {}, keras.layers.GroupNormalization, {"groups": -1}),
    (keras_norms.LayerNormalization, {}, keras.layers.LayerNormalization, {}),
    (keras_norms.BatchNormalization, {}, keras.layers.BatchNormalization, {}),
)
TWICE_SHAPE = (3, 5, 4)


def _penalty_gradients(layer, mode):
    """The gradients of the square of a gradient."""
    call = {"training": True} if isinstance(layer, TWICE[-1][::2]) else {}

    def run(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x, **call)))
            first = inner.gradient(y, x)
            total = tf.reduce_sum(tf.square(first))
        return outer.gradient(total, [x, *layer.trainable_weights])

    return [g.numpy() for g in _in_mode(run, mode)(tf.constant(inputs(TWICE_SHAPE)))]


@functools.cache
def _penalty_gradients_of_keras(row):
    """Those of the twin, which differentiates each operation by itself, with the weights of the layer."""
    kind, arguments, twin, twin_arguments = TWICE[row]
    twin = twin(**twin_arguments)
    twin.build(TWICE_SHAPE)
    twin.set_weights(randomize(kind(**arguments), TWICE_SHAPE).get_weights())
    return _penalty_gradients(twin, "graph")


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("row", range(len(TWICE)), ids=lambda row: TWICE[row][0].__name__)
def test_gradient_of_a_gradient(row, mode):
    """Gradient penalties differentiate twice."""
    kind, arguments, *_ = TWICE[row]
    layer = randomize(kind(**arguments), TWICE_SHAPE)
    for found, expected in zip(_penalty_gradients(layer, mode), _penalty_gradients_of_keras(row), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_gradient_of_a_gradient_is_traced_without_the_derivatives_of_branches():
    """Those take seconds for each group norm."""
    layer = randomize(keras_norms.GroupNormalization(2), TWICE_SHAPE)

    @tf.function(autograph=False)
    def penalty(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tf.reduce_sum(tf.sin(layer(x)))
            total = tf.reduce_sum(tf.square(inner.gradient(y, x)))
        return outer.gradient(total, x)

    graph = penalty.get_concrete_function(tf.TensorSpec(TWICE_SHAPE)).graph.as_graph_def()
    assert sum(len(function.node_def) for function in graph.library.function) < 600


@pytest.mark.parametrize("layer", [keras_norms.GroupNormalization(2), keras_norms.BatchNormalization()])
def test_a_gradient_of_a_gradient_of_an_empty_batch(layer):
    layer.build((None, *TWICE_SHAPE[1:]))
    x = tf.zeros((0, *TWICE_SHAPE[1:]))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(tf.sin(layer(x)))
        total = tf.reduce_sum(tf.square(inner.gradient(y, x)))
    dx, dgamma = outer.gradient(total, [x, layer.gamma])
    assert dx.shape == x.shape
    assert np.all(dgamma == 0)
