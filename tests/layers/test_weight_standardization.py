"""WeightStandardization: the kernel against NumPy, the layer against a plain one with that kernel, gradients."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_norms import WeightStandardization

X = np.random.default_rng(0).normal(0.0, 1.0, (3, 8, 8, 4)).astype("float32")
VIDEO = np.random.default_rng(0).normal(0.0, 1.0, (2, 5, 5, 5, 4)).astype("float32")
SEQUENCE = X[:, 0]

# The layer, its input, the axes of the kernel over which it is standardized.
CASES = {
    "Dense": (lambda: layers.Dense(5, "relu"), SEQUENCE, (0,)),
    "Conv1D": (lambda: layers.Conv1D(5, 3), SEQUENCE, (0, 1)),
    "Conv2D": (lambda: layers.Conv2D(5, 3, use_bias=False), X, (0, 1, 2)),
    "Conv2D, groups": (lambda: layers.Conv2D(6, 3, groups=2), X, (0, 1, 2)),
    "Conv3D": (lambda: layers.Conv3D(5, 2), VIDEO, (0, 1, 2, 3)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(5, 3), SEQUENCE, (0, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(5, 3), X, (0, 1, 3)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(5, 2), VIDEO, (0, 1, 2, 4)),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCE, (0,)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3), X, (0, 1)),
}


def numpy_of(x):
    return keras.ops.convert_to_numpy(x)


def standardized(kernel, axes, scaled, gain=1.0, epsilon=1e-5):
    kernel = kernel.astype("float64")
    count = np.prod([kernel.shape[a] for a in axes]) if scaled else 1
    centred = kernel - kernel.mean(axis=axes, keepdims=True)
    return gain * centred / np.sqrt(count * (kernel.var(axis=axes, keepdims=True) + epsilon))


def made(case, scaled=False, dtype="float32"):
    make, x, axes = CASES[case]
    keras.utils.set_random_seed(1)
    with_policy = make()
    layer = WeightStandardization(type(with_policy).from_config({**with_policy.get_config(), "dtype": dtype}), scaled)
    layer.build(x.shape)
    rng = np.random.default_rng(2)
    for weight in layer.weights:
        weight.assign(rng.normal(0.5, 1.0, weight.shape))
    return layer, x, axes


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_a_plain_layer_with_the_standardized_kernel_does(case, scaled):
    layer, x, axes = made(case, scaled)
    kernel = numpy_of(layer.layer.kernel)
    gain = (
        1.0 if not scaled else numpy_of(layer.gain).reshape([1 if a in axes else n for a, n in enumerate(kernel.shape)])
    )
    expected = standardized(kernel, axes, scaled, gain)
    np.testing.assert_allclose(layer.standardized_kernel(), expected, rtol=1e-4, atol=1e-5)
    plain = type(layer.layer).from_config(layer.layer.get_config())
    plain.build(x.shape)
    plain.set_weights([expected, *(numpy_of(w) for w in layer.layer.weights[1:])])
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(layer.layer.kernel, kernel)


def test_in_half_precision_the_kernel_is_standardized_in_float32():
    layer, x, axes = made("Conv2D", dtype="mixed_float16")
    assert layer(x).dtype == "float16"
    layer.layer.kernel.assign(numpy_of(layer.layer.kernel) + 100)  # float16 counts in steps of 1/16 there
    expected = standardized(numpy_of(layer.layer.kernel), axes, False)
    np.testing.assert_allclose(layer.standardized_kernel(), expected, atol=1e-4)
    inside = keras.Sequential([keras.Input(x.shape[1:]), layer])
    plain = layers.Conv2D(5, 3, use_bias=False, dtype="mixed_float16")
    plain.build(x.shape)
    plain.set_weights([numpy_of(layer.standardized_kernel())])
    np.testing.assert_array_equal(inside(x), plain(x))


def test_gradients_are_those_of_the_formula():
    """Against finite differences in float64, of kernel, bias and gain."""
    import tensorflow as tf

    layer, x, _ = made("Dense", scaled=True, dtype="float64")
    layer.layer.activation = keras.activations.sigmoid
    x = tf.constant(x, "float64")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradients = tape.gradient(loss, layer.trainable_variables)
    for weight, gradient in zip(layer.trainable_variables, gradients, strict=True):
        direction = np.random.default_rng(3).normal(size=weight.shape)
        start = numpy_of(weight).copy()
        ends = []
        for step in (1e-5, -1e-5):
            weight.assign(start + step * direction)
            ends.append(float(tf.reduce_sum(layer(x) ** 2)))
        weight.assign(start)
        np.testing.assert_allclose((ends[0] - ends[1]) / 2e-5, np.sum(gradient * direction), rtol=1e-5)


def test_losses_masks_training_and_saving(tmp_path):
    keras.utils.set_random_seed(4)
    inside = layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.1), kernel_regularizer="l2")
    layer = WeightStandardization(inside, scaled=True, epsilon=1e-4, name="standard")
    model = keras.Sequential([keras.Input((8, 4)), layers.Masking(), layer])
    y = numpy_of(model(SEQUENCE))
    losses = sorted(float(loss) for loss in model.losses)
    alone = layers.Activation("linear", activity_regularizer=inside.activity_regularizer)
    alone(y)
    wanted = sorted([0.01 * np.sum(numpy_of(inside.kernel) ** 2), float(alone.losses[0])])
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    assert model(SEQUENCE)._keras_mask.shape == (3, 8)
    model.compile("sgd", "mse")
    before = [numpy_of(w).copy() for w in model.weights]
    model.fit(SEQUENCE, np.zeros((3, 8, 3)), verbose=0)
    assert all(np.any(a != numpy_of(b)) for a, b in zip(before, model.weights, strict=True))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    loaded = again.layers[-1]
    assert (loaded.name, loaded.scaled, loaded.epsilon) == ("standard", True, 1e-4)
    np.testing.assert_allclose(again(SEQUENCE), model(SEQUENCE), rtol=1e-6)


def with_lora():
    layer = WeightStandardization(layers.Dense(3))
    layer.build((None, 4))
    layer.layer.enable_lora(2)
    return layer(SEQUENCE)


REFUSED = [
    (lambda: WeightStandardization(layers.SeparableConv2D(3, 3)), TypeError, "wraps one of Conv1D.*SeparableConv2D"),
    (lambda: WeightStandardization(layers.BatchNormalization()), TypeError, "wraps one of Conv1D"),
    (lambda: WeightStandardization(layers.Dense(3), epsilon=-1), ValueError, "`epsilon` has to be"),
    (lambda: WeightStandardization(layers.Dense(3), scaled=1), TypeError, "`scaled` has to be True or False"),
    (lambda: WeightStandardization(layers.DepthwiseConv2D(1))(X), ValueError, r"more than one weight.*\(1, 1, 4, 1\)"),
    (with_lora, ValueError, "kernel alone.*which has LoRA weights"),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[text[:25] for _, _, text in REFUSED])
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
