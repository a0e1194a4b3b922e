"""The sizes that are tried where a model leaves them free: what folds can be verified, and the other way round."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, fold, to_onnx, to_tflite
from keras_norms.export.model.signature import signature
from keras_norms.export.model.size_search import sized
from keras_norms.export.model.sizes import FREE_SIZES
from keras_norms.export.model.test_inputs import probes

L = keras.layers


def of_256_pixels():
    """A model whose reshape fits no other size."""
    x = keras.Input((None, None, 3))
    y = L.AveragePooling2D(8)(L.BatchNormalization(name="norm")(L.Conv2D(2, 1)(x)))
    return keras.Model(x, L.Dense(4)(L.Reshape((32 * 32 * 2,))(y)))


def of_at_least(pixels):
    x = keras.Input((None, None, 3))
    y = L.BatchNormalization(name="norm")(L.Conv2D(2, 1)(x))
    return keras.Model(x, L.Cropping2D(((0, pixels - 1), (0, pixels - 1)))(y))


@pytest.mark.parametrize(
    "model", [of_256_pixels, lambda: of_at_least(225), lambda: of_at_least(17)], ids=["256", "225", "17"]
)
def test_a_fold_and_verification_both_find_a_size(model):
    model = model()
    assert [record.norm for record in fold(model).report.folded] == ["norm"]
    (array,) = probes(model, signature(model))[0].arrays
    assert np.isfinite(keras.ops.convert_to_numpy(model(array))).all()


def sequence(*layers):
    x = y = keras.Input((None, 4), name="x")
    for layer in layers:
        y = layer(y)
    return keras.Model(x, y)


def skip():
    """18 steps less must be a multiple of 7."""
    x = keras.Input((None, 4))
    y = L.Cropping1D(8)(L.Conv1D(4, 3)(x))
    return keras.Model(x, L.Add()([y, L.UpSampling1D(7)(L.MaxPooling1D(7)(y))]))


def two_lengths():
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    return keras.Model([a, b], L.Add()([L.Conv1D(4, 9)(a), b]))


def two_fixed():
    a, b = keras.Input((None, 4)), keras.Input((None, 4))
    return keras.Model([a, b], L.Concatenate()([L.Reshape((40,))(a), L.Reshape((100,))(b)]))


def rectangle():
    x = keras.Input((None, None, 3))
    return keras.Model(x, L.Dense(2)(L.Reshape((15 * 31 * 2,))(L.MaxPooling2D(2)(L.Conv2D(2, 3)(x)))))


class Multiple(L.Layer):
    """Python code that takes multiples of 48 alone, and says nothing of its shapes."""

    def call(self, x):
        return keras.ops.reshape(x, (1 if x.shape[0] is None else x.shape[0], -1, 48 * 4))


class Cut(L.Layer):
    """Leaves nothing of a short sequence, without an error."""

    def call(self, x):
        return x[:, 40:]


class Cropping(keras.Model):
    def __init__(self):
        super().__init__()
        self.crop, self.dense = L.Cropping1D(400), L.Dense(3)

    def build(self, shape):
        self.dense.build((None, 4))
        self.built = True

    def call(self, x):
        return self.dense(keras.ops.mean(self.crop(x), 1))


def subclassed():
    model = Cropping()
    model.build((None, None, 4))
    return model


SEARCHED = {
    "cropping": (lambda: sequence(L.Cropping1D(500)), [(1024, 4)]),
    "cropping before a mean": (
        lambda: sequence(L.Cropping1D(40), L.GlobalAveragePooling1D()),
        [(128, 4)],
    ),
    "dilated valid convolutions": (
        lambda: sequence(*[L.Conv1D(4, 3, dilation_rate=2**i) for i in range(9)]),
        [(1024, 4)],
    ),
    "one product": (lambda: sequence(L.Reshape((97, 4))), [(97, 4)]),
    "a multiple": (lambda: sequence(L.Reshape((-1, 10 * 4))), [(80, 4)]),
    "strides, then one product": (
        lambda: sequence(L.Conv1D(8, 5), L.MaxPooling1D(3), L.Conv1D(8, 5, strides=2), L.Reshape((77 * 8,))),
        [(480, 4)],
    ),
    "upsampling beside a skip connection": (skip, [(32, 4)]),
    "two lengths that depend on each other": (two_lengths, [(24, 4), (16, 4)]),
    "two lengths that do not": (two_fixed, [(10, 4), (25, 4)]),
    "rows and columns": (rectangle, [(64, 32, 3)]),
    "a volume": (lambda: keras.Sequential([keras.Input((None, None, None, 1)), L.Conv3D(2, 20)]), [(32, 32, 32, 1)]),
    "Python code": (lambda: sequence(Multiple()), [(48, 4)]),
    "nothing before a mean, which is NaN": (lambda: sequence(Cut(), L.GlobalAveragePooling1D()), [(64, 4)]),
    "a subclassed model": (subclassed, [(1024, 4)]),
    "nothing to ask": (lambda: sequence(L.Conv1D(2, 3)), [(16, 4)]),
}


@pytest.mark.parametrize("case", SEARCHED)
def test_a_size_is_found_that_every_layer_takes(case):
    build, expected = SEARCHED[case]
    model = build()
    found = sized(model, signature(model))
    assert [spec.shape[1:] for spec in found.inputs] == expected
    drawn = [np.ones((1, *shape), "float32") for shape in expected]
    for y in found.call(model, drawn):
        assert np.isfinite(keras.ops.convert_to_numpy(y)).all()
    assert "compute_output_spec" not in vars(model.layers[-1]), "the layers are as they were"


def test_where_no_size_suits_it_says_what_was_tried():
    model = sequence(L.Reshape((4099, 4)))
    with pytest.raises(ExportError, match=r"None of the sizes .*up to 4,096, suits the model \(.*4099.*Give inputs="):
        probes(model, signature(model))
    (array,) = probes(model, signature(model), [np.zeros((2, 4099, 4), "float32")])[0].arrays
    assert array.shape == (1, 4099, 4)


def test_a_fold_takes_the_sizes_that_are_found():
    model = sequence(L.BatchNormalization(name="norm"), L.Cropping1D(500), L.Conv1D(3, 1))
    assert [record.norm for record in fold(model).report.folded] == ["norm"]


@pytest.mark.runtime
@pytest.mark.parametrize("export", [to_tflite, to_onnx])
@pytest.mark.parametrize("given", [False, True])
def test_a_model_of_long_sequences_is_exported(export, given, tmp_path):
    """No size is found for the one that reshapes to more than 4,096: it needs the user's inputs."""
    cut = L.Reshape((4100, 4)) if given else L.Cropping1D(500)
    model = sequence(L.Conv1D(4, 3, padding="same"), L.BatchNormalization(name="norm"), cut, L.ReLU())
    x = np.random.default_rng(0).normal(size=(3, 4100, 4)).astype("float32")
    report = export(model, tmp_path / ("m.onnx" if export is to_onnx else "m.tflite"), inputs=x if given else None)
    assert report.verification.ok
    assert [record.norm for record in report.fold.folded] == ["norm"]
    assert {tuple(tried.shapes["x"][1:]) for tried in report.verification.inputs} == {(4100 if given else 1024, 4)}


def test_sizes_climb_so_that_the_smallest_that_suits_is_taken():
    assert list(FREE_SIZES) == sorted(set(FREE_SIZES))


def channels_first(*filters, size=None):
    x = y = keras.Input((3, size, None))
    for count in filters:
        y = L.Conv2D(count, 3, padding="same", data_format="channels_first", bias_initializer="normal")(y)
    return keras.Model(x, y)


@pytest.mark.parametrize(("filters", "size"), [((16,), 32), ((16, 32, 64), 80), ((8,), 16)])
def test_no_size_gives_as_many_columns_as_channels(filters, size):
    """There Keras on TensorFlow adds the bias of a layer that is channels first along the columns."""
    model = channels_first(*filters)
    (spec,) = sized(model, signature(model)).inputs
    assert spec.shape[2:] == (size, size)


def test_columns_that_the_model_fixes_do_not_matter():
    """No size changes them: those of the other input are chosen as if they were not there."""
    fixed, free = keras.Input((3, 16, 16)), channels_first(16)
    conv = L.Conv2D(16, 3, padding="same", data_format="channels_first", bias_initializer="normal")
    model = keras.Model([fixed, free.input], [conv(fixed), free.output])
    assert [spec.shape for spec in sized(model, signature(model)).inputs] == [(None, 3, 16, 16), (None, 3, 32, 32)]


def test_as_many_columns_as_channels_are_taken_where_there_is_no_other_size():
    x = keras.Input((16, 16, None))
    y = L.Conv2D(16, 1, data_format="channels_first")(x)
    model = keras.Model(x, L.Dense(2)(L.Reshape((16 * 16 * 16,))(y)))
    (spec,) = sized(model, signature(model)).inputs
    assert spec.shape == (None, 16, 16, 16)
