"""Each layer equals its oracle for any shape of rank 2 to 5, axis, groups, mask, dtype and free dimensions."""

import keras
import numpy as np
import oracles
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layer_cases import BN, BRN, GN, IN, LN, OPEN, oracle_inference, oracle_training, randomize

# No deadline: the first example of a shape traces a graph.
SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
TOLERANCE = {"float32": 1e-4, "float64": 1e-10, "mixed_float16": 3e-3, "mixed_bfloat16": 3e-2}

dtypes = st.sampled_from(sorted(TOLERANCE))
seeds = st.integers(0, 2**16)


@st.composite
def shapes_and_axes(draw, ranks=(2, 5)):
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=ranks[0], max_size=ranks[1])))
    return shape, draw(st.integers(1, len(shape) - 1)) - draw(st.sampled_from([0, len(shape)]))


def _inputs(shape, seed, dtype):
    rng = np.random.default_rng(seed)
    kind = "float64" if dtype == "float64" else "float32"
    return (rng.normal(size=shape) * rng.uniform(0.5, 3) + rng.uniform(-3, 3)).astype(kind)


def _mask(draw, shape, axis, seed):
    """None, or a mask over the axes other than `axis`. In every sample at least one position counts."""
    if not draw(st.booleans()):
        return None
    mask = np.random.default_rng(seed).random([n for a, n in enumerate(shape) if a != axis % len(shape)]) < 0.7
    mask.reshape(len(mask), -1)[:, 0] = True
    return mask


def _call(layer, x, free, *calls):
    """The layer's outputs for each of calls, in one graph. If free, the sizes of batch and positions are unknown."""
    kept = {a % x.ndim for a in np.atleast_1d(layer.axis)}
    spec = tf.TensorSpec([n if a in kept or not free else None for a, n in enumerate(x.shape)], x.dtype)
    calls = [{k: v if k == "training" else tf.constant(v) for k, v in call.items() if v is not None} for call in calls]
    run = tf.function(lambda x: [layer(x, **call) for call in calls], input_signature=[spec], autograph=False)
    return [tf.cast(y, "float64").numpy() for y in run(tf.constant(x))]


def _check(found, expected, dtype):
    assert np.abs(found - expected).max() <= TOLERANCE[dtype] * max(1.0, np.abs(expected).max())


@SETTINGS
@given(st.data(), shapes_and_axes(), dtypes, seeds, st.booleans(), st.booleans())
def test_batch_statistics(data, shape_and_axis, dtype, seed, renormalize, free):
    shape, axis = shape_and_axis
    arguments = {"schedule": OPEN} if renormalize else {}
    layer = randomize((BRN if renormalize else BN)(axis=axis, dtype=dtype, **arguments), shape, seed)
    x, mask = _inputs(shape, seed, dtype), _mask(data.draw, shape, axis, seed)
    oracle, expected = oracle_training(layer), oracle_inference(layer, x)
    inferred, trained = _call(layer, x, free, {}, {"training": True, "mask": mask})
    _check(inferred, expected, dtype)
    _check(trained, oracle(x, mask), dtype)
    _check(layer.moving_mean.numpy(), oracle.moving_mean, "float32")
    _check(layer.moving_variance.numpy(), oracle.moving_variance, "float32")


@SETTINGS
@given(st.data(), shapes_and_axes(), dtypes, seeds, st.booleans())
def test_group_statistics(data, shape_and_axis, dtype, seed, free):
    shape, axis = shape_and_axis
    divisors = [n for n in range(1, shape[axis] + 1) if shape[axis] % n == 0]
    groups = data.draw(st.sampled_from([-1, *divisors]))
    layer = randomize(GN(groups, axis=axis, dtype=dtype), shape, seed)
    x, mask = _inputs(shape, seed, dtype), _mask(data.draw, shape, axis, seed)
    (found,) = _call(layer, x, free, {"mask": mask})
    _check(found, oracle_inference(layer, x, mask), dtype)


@SETTINGS
@given(st.data(), shapes_and_axes(ranks=(3, 5)), dtypes, seeds, st.booleans())
def test_instance_statistics(data, shape_and_axis, dtype, seed, free):
    shape, axis = shape_and_axis
    layer = randomize(IN(axis=axis, dtype=dtype), shape, seed)
    x, mask = _inputs(shape, seed, dtype), _mask(data.draw, shape, axis, seed)
    (found,) = _call(layer, x, free, {"mask": mask})
    _check(found, oracle_inference(layer, x, mask), dtype)


@SETTINGS
@given(st.data(), shapes_and_axes(), dtypes, seeds, st.booleans())
def test_feature_statistics(data, shape_and_axis, dtype, seed, free):
    shape, axis = shape_and_axis
    rest = [a for a in range(1, len(shape)) if a != axis % len(shape)]
    more = data.draw(st.lists(st.sampled_from(rest), unique=True)) if rest else []
    layer = randomize(LN(axis=[axis, *more] if more else axis, dtype=dtype), shape, seed)
    x = _inputs(shape, seed, dtype)
    (found,) = _call(layer, x, free, {})
    _check(found, oracle_inference(layer, x), dtype)


@SETTINGS
@given(shapes_and_axes(), seeds)
def test_symbolic_shapes(shape_and_axis, seed):
    """In a functional model with free dimensions the output has the input's shape and the oracle's values."""
    shape, axis = shape_and_axis
    layer = randomize(BN(axis=axis), shape, seed)
    free = [n if a == axis % len(shape) else None for a, n in enumerate(shape)]
    inputs = keras.Input(batch_shape=free)
    outputs = layer(inputs)
    assert tuple(outputs.shape) == tuple(free)
    x = _inputs(shape, seed, "float32")
    _check(np.asarray(keras.Model(inputs, outputs)(x)), oracle_inference(layer, x), "float32")


@SETTINGS
@given(shapes_and_axes(), seeds, st.floats(-100, 100), st.floats(0.1, 100))
def test_the_oracle_itself(shape_and_axis, seed, shift, scale):
    """As in the papers, a shift of the input changes nothing, nor, without epsilon, does a factor."""
    shape, axis = shape_and_axis
    x = np.random.default_rng(seed).normal(size=shape)
    ones, zeros = np.ones(shape[axis]), np.zeros(shape[axis])
    for norm in (
        lambda v, e: oracles.BatchNorm(ones, zeros, zeros, ones, epsilon=e, axis=axis)(v),
        lambda v, e: oracles.group_norm(v, 1, ones, zeros, e, axis),
        lambda v, e: oracles.layer_norm(v, ones, zeros, e, axis),
    ):
        np.testing.assert_allclose(norm(x + shift, 1e-3), norm(x, 1e-3), rtol=0, atol=1e-8)
        if np.all(np.asarray(norm(x, 1e-3)).std() > 1e-3):
            np.testing.assert_allclose(norm(x * scale, 1e-12 * scale**2), norm(x, 1e-12), rtol=0, atol=1e-6)
