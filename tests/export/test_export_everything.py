"""Layers that converters choke on: exact GELU, attention, half precision, layers over time, a U-Net."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import EXPORTS
from keras import ops
from keras_norms.export import ExportError, VerificationError, to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from models import image_net, randomize
from own_layers import Doubled

import keras_norms

pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]

L = keras.layers


def transformer():
    x = inputs = keras.Input((6, 8), name="tokens")
    y = keras_norms.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)])
    y = L.Dense(16, activation="gelu")(L.LayerNormalization()(x))
    return keras.Model(inputs, L.Add(name="out")([x, L.Dense(8)(y)]))


def unet():
    def block(x, channels):
        x = L.Conv2D(channels, 3, padding="same")(x)
        return L.ReLU()(keras_norms.GroupNormalization(4)(x))

    inputs = keras.Input((16, 16, 3), name="image")
    skip = block(inputs, 8)
    x = block(L.MaxPooling2D()(skip), 16)
    x = block(L.Concatenate()([L.Conv2DTranspose(8, 2, 2)(x), skip]), 8)
    return keras.Model(inputs, L.Conv2D(2, 1, name="mask")(L.UpSampling2D(interpolation="bilinear")(x)))


def over_time():
    x = inputs = keras.Input((3, 8, 8, 2), name="video")
    for layer in (
        L.Conv2D(4, 3),
        L.BatchNormalization(),
        keras_norms.GroupNormalization(2),
        L.GlobalAveragePooling2D(),
    ):
        x = L.TimeDistributed(layer)(x)
    return keras.Model(inputs, x)


def never_called():
    return keras.Sequential(
        [keras.Input((4,), name="x"), L.Dense(3), L.UnitNormalization(), L.RMSNormalization(), Doubled()]
    )


class Scaled(L.Layer):
    """A weight that TensorFlow knows and Keras does not."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.5)

    def call(self, x):
        return x * self.factor


def picked():
    x = inputs = keras.Input((4, 5), name="x")
    best = {f"{find.__name__}_{axis}": find(x, axis=axis) for find in (ops.argmax, ops.argmin) for axis in (-1, 1)}
    kept = ops.argmax(x, axis=-1, keepdims=True)
    return keras.Model(inputs, {**best, "kept": kept, "flag": x > 0, "scaled": Scaled()(x)})


def of_length_one():
    x, y = keras.Input((5,), name="x"), keras.Input((5,), name="y")
    return keras.Model([x, y], [L.UnitNormalization()(x), L.Dot(1, normalize=True)([x, y]), ops.normalize(y, order=1)])


def classes():
    """Whole numbers into classes: between boundaries, and one hot, where -1 stands for none."""
    x, i = keras.Input((3,), name="x"), keras.Input((4,), dtype="int32", name="i")
    hot = ops.one_hot(i - 5, 4, axis=1)
    parts = [
        L.Discretization([-0.5, 0.5])(x),
        L.Discretization([2, 4])(i),
        L.CategoryEncoding(3, output_mode="one_hot")(x[:, :1]),
        hot,
    ]
    return keras.Model([x, i], parts)


def in_eight_bits():
    """Quantized by Keras itself."""
    x = inputs = keras.Input((4, 8), name="x")
    x = L.MultiHeadAttention(2, 4)(x, x)
    model = keras.Model(inputs, [L.Dense(3)(x), L.Dense(2)(x[:, 0]), ops.log1p(ops.abs(x)), ops.expm1(-ops.abs(x))])
    model.quantize("int8")
    return model


def enlarged():
    """Transposed convolutions that add rows at the end."""
    x, y = keras.Input((5, 5, 2), name="x"), keras.Input((5, 2), name="y")
    added = L.Conv2DTranspose(3, 2, strides=4, output_padding=(3, 2))(x)
    return keras.Model([x, y], [added, L.Conv1DTranspose(3, 3, 2, output_padding=1)(y)])


def augmented():
    """Augmentation draws a seed at every call, and uses it in training only."""
    x = inputs = keras.Input((6, 6, 3), name="image")
    for layer in (L.RandomFlip(), L.RandomBrightness(0.1), L.RandomSharpness(0.1), L.GaussianDropout(0.1)):
        x = layer(x)
    return keras.Model(inputs, L.Conv2D(2, 3)(x))


def alike():
    """Outputs that are the same but for rounding, which is all there is of them on constant rows."""
    x = keras.Input((6,), name="x")
    return keras.Model(x, [L.BatchNormalization()(x), L.LayerNormalization()(x), L.GroupNormalization(1)(x)])


MODELS = {
    "transformer": transformer,
    "U-Net": unet,
    "over time": over_time,
    "odd norms": never_called,
    "picked": picked,
    "of length one": of_length_one,
    "classes": classes,
    "augmented": augmented,
    "enlarged": enlarged,
    "in eight bits": in_eight_bits,
}


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("case", MODELS)
def test_models_that_converters_choke_on(case, suffix, tmp_path):
    report = EXPORTS[suffix](randomize(MODELS[case]()), tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5


@pytest.mark.parametrize("suffix", EXPORTS)
def test_outputs_that_differ_by_rounding_alone_are_not_taken_for_swapped(suffix, tmp_path):
    assert EXPORTS[suffix](alike(), tmp_path / f"m{suffix}").verification.ok


def dense(**kwargs):
    return keras.Sequential([keras.Input((4,)), L.Dense(2, **kwargs), L.LayerNormalization()])


def of(layer, shape=(3,), dtype="float32", **batch):
    inputs = keras.Input(**({} if batch else {"shape": shape}), dtype=dtype, name="x", **batch)
    return keras.Model(inputs, layer(inputs))


def noisy(x):
    return x + tf.random.normal(tf.shape(x))


REFUSED = {
    "strings": (lambda: of(L.StringLookup(vocabulary=["a"]), dtype="string"), "must be numbers; 'x' takes strings"),
    "table": (
        lambda: of(L.StringLookup(vocabulary=["a"], invert=True, name="look"), dtype="int64"),
        "'look' looks its input up in",
    ),
    "chance": (lambda: of(L.Lambda(noisy, name="noisy")), "'noisy' draws random numbers at inference"),
    "state": (lambda: of(L.LSTM(2, stateful=True, name="cell"), batch_shape=(1, 2, 3)), "'cell' keeps state from one"),
    "name": (lambda: dense(name="a dense"), "'a dense' is no name that TensorFlow, .* allows"),
    "no graph": (
        lambda: of(L.Lambda(lambda x: x.numpy(), output_shape=(3,))),
        "cannot be traced as a TensorFlow graph.*numpy",
    ),
}


@pytest.mark.parametrize("suffix", EXPORTS)
def test_weights_stored_in_half_precision_are_not_merged(suffix, tmp_path):
    half = {"dtype": "bfloat16"}
    model = randomize(keras.Sequential([keras.Input((6,)), L.Dense(5, **half), L.BatchNormalization(**half)]))
    report = EXPORTS[suffix](model, tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
    assert report.warnings[0].startswith("nothing was folded: weights are stored in bfloat16")


def test_a_model_that_refuses_random_numbers_says_so(tmp_path):
    model = of(L.CategoryEncoding(3), (20,))
    with pytest.raises(
        VerificationError, match=r"random, batch 1: the model does not run on it: CategoryEncoding.call"
    ):
        to_onnx(model, tmp_path / "m.onnx")
    assert to_onnx(of(L.CategoryEncoding(10), dtype="int32"), tmp_path / "m.onnx").verification.ok


class Tokens(keras.Model):
    """Keras records the shapes of what a subclassed model was called on, and no dtypes."""

    def __init__(self):
        super().__init__()
        self.look, self.dense, self.norm = L.Embedding(7, 4), L.Dense(4), L.BatchNormalization()

    def call(self, inputs, training=False):
        x = self.look(inputs["tokens"])
        return self.norm(self.dense(x) + inputs.get("more", 0.0), training=training)


class TwoArguments(Tokens):
    def call(self, tokens, more):
        return super().call({"tokens": tokens, "more": more})


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("more", [{}, {"more": np.ones((2, 1, 4), "float32")}], ids=["one key", "two keys"])
def test_what_a_subclassed_model_looks_up_is_taken_as_integers(suffix, more, tmp_path):
    model, inputs = Tokens(), {"tokens": np.array([[1, 6, 0], [2, 3, 4]], "int32"), **more}
    model(inputs)
    report = EXPORTS[suffix](randomize(model), tmp_path / f"m{suffix}", batch_size=np.int64(2), certificate=True)
    assert report.verification.relative < 2e-5
    interface = json.loads(report.certificate.read_text())["model"]["inputs"]
    assert interface == ["more[None, 1, 4] float32", "tokens[None, 3] int32"][-1 - len(more) :]


def test_a_call_that_takes_two_tensors_is_refused(tmp_path):
    model = TwoArguments()
    model(np.ones((2, 3), "int32"), np.ones((2, 1, 4), "float32"))
    with pytest.raises(ExportError, match="must take one tensor, list or dict.*missing 1 required.*'more'"):
        to_onnx(model, tmp_path / "m.onnx")


def test_an_output_that_is_called_as_an_input_gets_another_name_in_onnx(tmp_path):
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    model = keras.Model([x, y], {"x": L.Dense(3)(x), "x_1": L.Dense(2)(y), "y": y})
    report = to_onnx(model, tmp_path / "m.onnx")
    assert list(format_of(report.path).runners(report.path)["ONNX Runtime, optimized"].outputs) == ["x_2", "x_1", "y_1"]
    assert verify(model, report.path).ok
    report = to_tflite(model, tmp_path / "m.tflite")
    assert list(next(iter(format_of(report.path).runners(report.path).values())).outputs) == ["x", "x_1", "y"]


@pytest.mark.parametrize("suffix", EXPORTS)
def test_float64_is_refused_where_a_runtime_lacks_it(suffix, tmp_path):
    model = of(L.Conv1D(2, 2, dtype="float64", name="twice"), (4, 3))
    with pytest.raises(ExportError, match="lack kernels for float64.*first in 'twice'"):
        EXPORTS[suffix](model, tmp_path / f"m{suffix}")


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_artifact_can_reproduce_is_refused_by_name(case, tmp_path):
    make, reason = REFUSED[case]
    with pytest.raises(ExportError, match=reason):
        to_onnx(make(), tmp_path / "m.onnx", fold=False)
    assert not list(tmp_path.iterdir())


def test_a_weight_may_have_a_name_that_a_saved_model_does_not_take_where_none_is_made(tmp_path):
    model = of(L.Dense(2, name="_dense"))
    with pytest.raises(ExportError, match=r"'_dense/\w+' is no name that TensorFlow, .* allows"):
        to_tflite(model, tmp_path / "m.tflite", fold=False)
    assert not list(tmp_path.iterdir())
    assert to_onnx(model, tmp_path / "m.onnx", fold=False).verification.ok


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("suffix", EXPORTS)
def test_mixed_precision_is_exported_in_float32_and_left_as_it_was(suffix, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        model = image_net(lambda **kw: keras_norms.GroupNormalization(4, **kw))
    finally:
        keras.config.set_dtype_policy("float32")
    policies = [layer.dtype_policy.name for layer in model._flatten_layers()]
    x = np.ones((2, 12, 12, 3), "float32")
    before = keras.ops.convert_to_numpy(model(x))
    report = EXPORTS[suffix](model, tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
    assert f"the model computes in {policy}, the artifact in float32" in report.warnings[0]
    assert [layer.dtype_policy.name for layer in model._flatten_layers()] == policies
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model(x)), before)
    assert verify(model, tmp_path / f"m{suffix}").ok
