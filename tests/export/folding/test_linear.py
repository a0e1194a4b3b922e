"""A norm right behind or right before each kind of linear layer."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds, random_batch, randomize, run
from keras_norms.export.folding.fold import fold
from versions import HAS_RENORM

import keras_norms

L = keras.layers
IMAGE, SERIES, VOLUME = (9, 8, 4), (11, 4), (6, 5, 4, 4)


def after(shape, layer, norm=None):
    return randomize(keras.Sequential([keras.Input(shape), layer, norm or L.BatchNormalization(name="bn")]))


AFTER = {
    "conv1d": (SERIES, lambda: L.Conv1D(5, 3)),
    "conv1d_causal_dilated": (SERIES, lambda: L.Conv1D(5, 3, padding="causal", dilation_rate=2)),
    "conv1d_grouped": (SERIES, lambda: L.Conv1D(6, 3, groups=2, use_bias=False)),
    "conv2d": (IMAGE, lambda: L.Conv2D(5, 3)),
    "conv2d_no_bias_same_strided": (IMAGE, lambda: L.Conv2D(5, 3, 2, padding="same", use_bias=False)),
    "conv2d_dilated": (IMAGE, lambda: L.Conv2D(5, 3, dilation_rate=2, padding="same")),
    "conv2d_grouped": (IMAGE, lambda: L.Conv2D(6, 3, groups=2, padding="same")),
    "conv2d_linear_activation": (IMAGE, lambda: L.Conv2D(5, (1, 3), activation="linear")),
    "conv3d": (VOLUME, lambda: L.Conv3D(5, 2, padding="same")),
    "conv3d_grouped": (VOLUME, lambda: L.Conv3D(4, 2, groups=2, use_bias=False)),
    "depthwise1d": (SERIES, lambda: L.DepthwiseConv1D(3, padding="same")),
    "depthwise1d_multiplier": (SERIES, lambda: L.DepthwiseConv1D(3, depth_multiplier=3, use_bias=False)),
    "depthwise2d": (IMAGE, lambda: L.DepthwiseConv2D(3, 2, padding="same", use_bias=False)),
    "depthwise2d_multiplier": (IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=2)),
    "depthwise2d_dilated": (IMAGE, lambda: L.DepthwiseConv2D(3, dilation_rate=2, padding="same")),
    "separable1d": (SERIES, lambda: L.SeparableConv1D(5, 3, depth_multiplier=2)),
    "separable2d": (IMAGE, lambda: L.SeparableConv2D(5, 3, padding="same", use_bias=False)),
    "transposed1d": (SERIES, lambda: L.Conv1DTranspose(5, 3, 2, padding="same")),
    "transposed2d": (IMAGE, lambda: L.Conv2DTranspose(5, 3, 2, use_bias=False)),
    "transposed2d_gaps": (IMAGE, lambda: L.Conv2DTranspose(5, 2, 3)),
    "transposed3d": (VOLUME, lambda: L.Conv3DTranspose(3, 2, 2, padding="same")),
    "dense": ((6,), lambda: L.Dense(5)),
    "dense_rank3": (SERIES, lambda: L.Dense(5, use_bias=False)),
    "dense_rank4": (IMAGE, lambda: L.Dense(5)),
}


@pytest.mark.parametrize("case", AFTER)
def test_after(case):
    shape, layer = AFTER[case]
    result, report = assert_folds(after(shape, layer()), ["bn"])
    (record,) = report.folded
    assert record.into == (result.layers[0].name,)
    assert record.rule.startswith("after ")
    assert type(result.layers[-1]) is L.Activation


NORMS = {
    "synchronized": lambda: L.BatchNormalization(synchronized=True, name="bn"),
    "no_center": lambda: L.BatchNormalization(center=False, name="bn"),
    "no_scale": lambda: L.BatchNormalization(scale=False, name="bn"),
    "neither": lambda: L.BatchNormalization(center=False, scale=False, epsilon=0.1, name="bn"),
    "positive_axis": lambda: L.BatchNormalization(axis=3, name="bn"),
    "frozen": lambda: L.BatchNormalization(trainable=False, name="bn"),
    "pack": lambda: keras_norms.BatchNormalization(name="bn"),
    "pack_renorm": lambda: keras_norms.BatchRenormalization(name="bn"),
    "pack_neither": lambda: keras_norms.BatchRenormalization(center=False, scale=False, name="bn"),
}

if HAS_RENORM:
    NORMS["renorm"] = lambda: L.BatchNormalization(renorm=True, name="bn")


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_every_batch_norm(norm, use_bias):
    if norm == "synchronized" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras synchronizes on TensorFlow only")
    assert_folds(after(IMAGE, L.Conv2D(5, 3, use_bias=use_bias), NORMS[norm]()), ["bn"])


def test_folded_weights_are_the_float64_algebra_cast_once():
    model = after(IMAGE, L.Conv2D(5, 3))
    conv, bn = model.layers
    k, b = (w.astype("float64") for w in conv.get_weights())
    gamma, beta, mean, var = (w.astype("float64") for w in bn.get_weights())
    s = gamma / np.sqrt(var + bn.epsilon)
    kernel, bias = fold(model).model.layers[0].get_weights()
    assert np.array_equal(kernel, (k * s).astype("float32"))
    assert np.array_equal(bias, (b * s + (beta - mean * s)).astype("float32"))


def test_a_chain_of_norms_is_cast_once():
    model = randomize(
        keras.Sequential(
            [keras.Input(IMAGE), L.Conv2D(5, 3), L.BatchNormalization(name="a"), L.BatchNormalization(name="b")]
        )
    )
    conv, *norms = model.layers
    kernel, bias = (w.astype("float64") for w in conv.get_weights())
    for norm in norms:
        gamma, beta, mean, var = (w.astype("float64") for w in norm.get_weights())
        s = gamma / np.sqrt(var + norm.epsilon)
        kernel, bias = kernel * s, bias * s + (beta - mean * s)
    result, _ = assert_folds(model, ["a", "b"])
    assert np.array_equal(result.layers[0].get_weights()[0], kernel.astype("float32"))
    assert np.array_equal(result.layers[0].get_weights()[1], bias.astype("float32"))


BEFORE = {
    "conv1d": (SERIES, lambda: L.Conv1D(5, 3)),
    "conv1d_causal_kernel_1": (SERIES, lambda: L.Conv1D(5, 1, padding="causal")),
    "conv2d": (IMAGE, lambda: L.Conv2D(5, 3, activation="relu")),
    "conv2d_no_bias": (IMAGE, lambda: L.Conv2D(5, 3, use_bias=False)),
    "conv2d_strided": (IMAGE, lambda: L.Conv2D(5, 3, 2)),
    "conv2d_grouped": (IMAGE, lambda: L.Conv2D(6, 3, groups=2)),
    "conv2d_same_kernel_1": (IMAGE, lambda: L.Conv2D(5, 1, 2, padding="same")),
    "conv3d": (VOLUME, lambda: L.Conv3D(5, 2)),
    "depthwise1d": (SERIES, lambda: L.DepthwiseConv1D(3, depth_multiplier=2)),
    "depthwise2d": (IMAGE, lambda: L.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)),
    "separable1d": (SERIES, lambda: L.SeparableConv1D(5, 3)),
    "separable2d": (IMAGE, lambda: L.SeparableConv2D(5, 3, depth_multiplier=2, use_bias=False)),
    "transposed1d_kernel_1": (SERIES, lambda: L.Conv1DTranspose(5, 1)),
    "transposed2d_kernel_1": (IMAGE, lambda: L.Conv2DTranspose(5, 1)),
    "transposed3d_kernel_1": (VOLUME, lambda: L.Conv3DTranspose(5, 1, use_bias=False)),
    "dense": ((6,), lambda: L.Dense(5, activation="softmax")),
    "dense_rank3": (SERIES, lambda: L.Dense(5, use_bias=False)),
}


def before(shape, layer, norm=None):
    return randomize(keras.Sequential([keras.Input(shape), norm or L.BatchNormalization(name="bn"), layer]))


@pytest.mark.parametrize("case", BEFORE)
def test_before(case):
    shape, layer = BEFORE[case]
    _, report = assert_folds(before(shape, layer()), ["bn"])
    assert report.folded[0].rule.startswith("before ")


PADDED = {
    "conv1d_causal": (SERIES, lambda: L.Conv1D(5, 3, padding="causal"), "pads its input with zeros"),
    "conv2d_same": (IMAGE, lambda: L.Conv2D(5, 3, padding="same"), "pads its input with zeros"),
    "depthwise2d_same": (IMAGE, lambda: L.DepthwiseConv2D(3, padding="same"), "pads its input with zeros"),
    "separable2d_same": (IMAGE, lambda: L.SeparableConv2D(5, 3, padding="same"), "pads its input with zeros"),
    "transposed2d": (IMAGE, lambda: L.Conv2DTranspose(5, 3), "a kernel or stride above 1"),
    "transposed2d_kernel_1_stride_2": (IMAGE, lambda: L.Conv2DTranspose(5, 1, 2), "a kernel or stride above 1"),
}


@pytest.mark.parametrize("case", PADDED)
def test_before_a_border(case):
    shape, layer, reason = PADDED[case]
    assert_folds(before(shape, layer()), [], {"bn": reason})


@pytest.mark.parametrize("case", PADDED)
def test_before_a_border_without_a_shift(case):
    shape, layer, _ = PADDED[case]
    model = before(shape, layer(), L.BatchNormalization(center=False, name="bn"))
    model.layers[0].moving_mean.assign(np.zeros(4))
    assert_folds(model, ["bn"])


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (lambda: L.Conv2D(5, 3, activation="relu"), "applies its own activation 'relu'"),
        (lambda: L.Conv2D(8, 3, padding="same", activity_regularizer="l2"), "has an activity regularizer"),
        (lambda: L.ZeroPadding2D(), "pads with zeros, which the norm would shift"),
        (lambda: L.ReLU(), "(ReLU) is not linear"),
        (lambda: L.Lambda(lambda t: t * 2), "(Lambda) is not linear"),
    ],
    ids=["activation", "activity_regularizer", "padding", "relu", "lambda"],
)
def test_not_after(layer, reason):
    assert_folds(after(IMAGE, layer()), [], {"bn": reason})


def test_norm_on_another_axis_of_the_same_size():
    assert_folds(
        after((8, 8, 4), L.Conv2D(8, 3, padding="same"), L.BatchNormalization(axis=1, name="bn")),
        [],
        {"bn": "has its channels on axis 3; the norm is on axis 1"},
    )


def test_lora_and_quantized_layers_stay():
    model = after((6,), L.Dense(5))
    model.layers[0].enable_lora(2)
    assert_folds(model, [], {"bn": "has LoRA weights"})
    model = after((8,), L.Dense(4))
    model.layers[0].quantize("int8")
    assert_folds(model, [], {"bn": "is quantized (int8)"}, tolerance=1e-4)


class Doubled(L.Conv2D):
    def call(self, inputs):
        return 2.0 * super().call(inputs)


class Halved(L.BatchNormalization):
    def call(self, inputs, training=None, mask=None):
        return 0.5 * super().call(inputs, training=training, mask=mask)


def test_subclasses_stay():
    assert_folds(after(IMAGE, Doubled(5, 3)), [], {"bn": "(Doubled) is not linear, or not known to be"})
    assert_folds(after(IMAGE, L.Conv2D(5, 3), Halved(name="bn")), [], {"bn": "its class Halved is a subclass"})


@pytest.mark.parametrize(
    ("weight", "value", "reason"),
    [
        ("moving_mean", np.nan, "not finite"),
        ("moving_mean", np.inf, "not finite"),
        ("gamma", np.nan, "not finite"),
        ("beta", np.inf, "not finite"),
        ("moving_variance", -1.0, "variance plus epsilon is not positive"),
        ("moving_variance", np.nan, "not finite"),
        ("gamma", 3e38, "would overflow float32"),
    ],
)
def test_statistics_that_make_no_weights(weight, value, reason):
    model = after(IMAGE, L.Conv2D(5, 3, kernel_initializer="ones"))
    values = keras.ops.convert_to_numpy(getattr(model.layers[-1], weight)).copy()
    values[2] = value
    getattr(model.layers[-1], weight).assign(values)
    if weight == "gamma":
        model.layers[-1].moving_variance.assign(np.zeros(5))
    _, report = fold(model)
    assert reason in report.kept[0].reason


def test_zero_variance_is_fine():
    model = after(IMAGE, L.Conv2D(5, 3))
    model.layers[-1].moving_variance.assign(np.zeros(5))
    assert_folds(model, ["bn"], tolerance=1e-4)


@pytest.mark.parametrize("width", [7, 5, None], ids=["other_width", "width_equals_channels", "free_width"])
@pytest.mark.parametrize("use_bias", [False, True])
def test_channels_first(width, use_bias):
    # Keras on TensorFlow adds a channels-first bias along the width if that has the size of the channels.
    conv = L.Conv2D(5, 3, padding="same", data_format="channels_first", use_bias=use_bias)
    model = keras.Sequential([keras.Input((4, 6, width)), conv, L.BatchNormalization(axis=1, name="bn")])
    risky = keras.backend.backend() == "tensorflow" and width != 7
    assert_folds(randomize(model), [] if risky else ["bn"], {"bn": "add a bias along the width"} if risky else ())


def test_mean_far_from_zero_is_judged_by_the_models_own_rounding():
    # z = 1e4 +- 1, so both models lose four digits; neither is wrong.
    model = after((64,), L.Dense(8, bias_initializer="zeros"))
    dense, bn = model.layers
    dense.bias.assign(np.full(8, 1e4))
    bn.moving_mean.assign(np.full(8, 1e4))
    x = random_batch(model)
    result, report = fold(model)
    assert [r.norm for r in report.folded] == ["bn"]
    assert np.allclose(run(result, x)[0], run(model, x)[0], atol=2e-2)
