"""What KerasHub's backbones are made of: masks with inserted dimensions, rolled windows, free sizes, odd configs."""

import keras
import numpy as np
import onnx
import pytest
from exports import EXPORTS
from keras_norms.export import ExportError, to_onnx, to_tflite
from keras_norms.export.formats.tflite.runtime import TFLiteRunner
from models import randomize

import keras_norms

pytestmark = pytest.mark.runtime

L, ops = keras.layers, keras.ops


class Slices(L.Layer):
    """Slices that insert dimensions, before and behind an ellipsis, beside ranges and indices."""

    def call(self, x):
        made = (x[:, None], x[:, :, None, 1:], x[:, None, 0], x[..., None], x[:, None, ..., None, 1:], x[:, None, None])
        return {f"y{i}": y for i, y in enumerate(made)}


class Rolled(L.Layer):
    def call(self, x):
        return ops.roll(x, 1, axis=1) + ops.roll(x, (-2, 1), axis=(2, -1))


def test_slices_that_insert_dimensions_with_two_sizes_free(tmp_path):
    x = keras.Input((None, 3), name="x")
    report = to_tflite(keras.Model(x, Slices(name="slices")(x)), tmp_path / "m.tflite")
    assert report.ops["EXPAND_DIMS"] == 7
    assert report.verification.relative == 0.0
    runner = TFLiteRunner(tmp_path / "m.tflite")
    for batch, length in ((1, 5), (4, 2)):
        given = np.random.default_rng(0).normal(size=(batch, length, 3)).astype("float32")
        expected = Slices()(given)
        got = runner.run({"x": given})
        for name, y in expected.items():
            np.testing.assert_array_equal(got[name], y)


def test_a_slice_that_the_converter_knows_stays_its_own(tmp_path):
    x = keras.Input((5, 3), batch_size=2, name="x")
    assert "EXPAND_DIMS" not in to_tflite(keras.Model(x, Slices()(x)), tmp_path / "m.tflite").ops


@pytest.mark.parametrize("shape", [(4, 6, 3), (None, None, 3)])
def test_rolled_windows(shape, tmp_path):
    x = keras.Input(shape, name="x")
    report = to_tflite(keras.Model(x, L.LayerNormalization()(Rolled(name="y")(x))), tmp_path / "m.tflite")
    assert report.ops["CONCATENATION"] >= 3


def test_what_cannot_be_rewritten_is_refused_by_the_layers_name(tmp_path):
    class ByInput(L.Layer):
        def call(self, x, shift):
            return ops.roll(x, shift[0, 0], axis=1)

    x, shift = keras.Input((4, 3), name="x"), keras.Input((1,), name="shift", dtype="int32")
    with pytest.raises(ExportError, match=r"no builtin operation for Roll \(in window\)"):
        to_tflite(keras.Model([x, shift], ByInput(name="window")(x, shift)), tmp_path / "m.tflite")


def upsampled(layer, shape):
    x = image = keras.Input(shape, name="image")
    x = layer(L.Conv2D(4, 3, padding="same", strides=2)(x))
    return randomize(keras.Model(image, L.Conv2D(2, 3, name="y")(x)))


def test_upsampling_of_an_image_of_free_size(tmp_path):
    report = to_tflite(upsampled(L.UpSampling2D((3, 2)), (None, None, 3)), tmp_path / "m.tflite")
    assert report.ops["CONCATENATION"] == 2
    # An image of 1 x 1, which is what the file says of a free one, is too small for the last convolution.
    assert report.xnnpack.taken["CONV_2D"] == 2


@pytest.mark.parametrize(
    ("layer", "mode", "rounding"),
    [
        (L.UpSampling2D((3, 2)), b"asymmetric", b"floor"),
        (L.Resizing(11, 7, interpolation="nearest"), b"half_pixel", b"round_prefer_ceil"),
    ],
)
def test_a_nearest_resize_says_how_in_words_of_its_opset(layer, mode, rounding, tmp_path):
    to_onnx(upsampled(layer, (12, 10, 3)), tmp_path / "m.onnx")
    (node,) = [n for n in onnx.load(tmp_path / "m.onnx").graph.node if n.op_type == "Resize"]
    said = {attribute.name: attribute.s for attribute in node.attribute}
    assert (said["coordinate_transformation_mode"], said["nearest_mode"]) == (mode, rounding)


class NoConfig(L.Layer):
    """A block of norms whose get_config fails, as those of some packages do."""

    def __init__(self, norm, **options):
        super().__init__(**options)
        self.dense, self.norm = L.Dense(4), norm

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build((*shape[:-1], 4))
        self.shift = self.add_weight(shape=(4,), name="shift")  # so that fold does not open it

    def call(self, x):
        return ops.relu(self.norm(self.dense(x)) + self.shift)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize("norm", [keras_norms.LayerNormalization, L.BatchNormalization, L.RMSNormalization])
def test_a_layer_that_does_not_come_back_from_its_config(norm, tmp_path):
    x = keras.Input((6,), name="x")
    model = randomize(keras.Model(x, L.Dense(2)(NoConfig(norm(), name="block")(x))))
    report = to_tflite(model, tmp_path / "m.tflite")
    if norm is not L.BatchNormalization:
        assert report.warnings == ()
        return
    (warning,) = report.warnings
    assert "the layer 'block' (NoConfig) does not come back from it: 'NoConfig' object has no attribute" in warning
    assert "\n" not in warning


def test_a_maximum_may_hide_where_an_infinity_goes(tmp_path):
    x = image = keras.Input((8, 8, 3), name="image")
    for channels in (8, 16):
        x = L.MaxPooling2D(name=f"y{channels}")(L.Conv2D(channels, 3, padding="same", activation="relu")(x))
    assert to_tflite(randomize(keras.Model(image, x)), tmp_path / "m.tflite").verification.ok


@pytest.mark.parametrize("suffix", EXPORTS)
def test_outputs_of_a_single_number(suffix, tmp_path):
    x = keras.Input((5, 4))
    model = keras.Model(x, {"mean": keras.ops.mean(x), "largest": keras.ops.max(x), "y": keras.layers.Dense(2)(x)})
    assert EXPORTS[suffix](model, tmp_path / f"m{suffix}").verification.ok
