"""The comparison that stands before every result: it can fail, it names the layer, and it judges by rounding."""

import keras
import numpy as np
import pytest
from fold_checks import randomize
from keras_norms.export.errors import FoldError
from keras_norms.export.folding import equivalence as check_module
from keras_norms.export.folding.fold import fold
from keras_norms.export.folding.lockstep import difference
from keras_norms.export.folding.rules import convolution

L = keras.layers


def model(shape=(9, 8, 3)):
    x = keras.Input(shape)
    y = x
    for i in range(3):
        y = L.Conv2D(4, 3, padding="same", name=f"conv{i}")(y)
        y = L.ReLU(name=f"relu{i}")(L.BatchNormalization(name=f"bn{i}")(y))
    return randomize(keras.Model(x, L.Dense(2, name="head")(L.GlobalAveragePooling2D()(y))), dead=False)


def test_wrong_weights_are_refused_with_the_first_layer(monkeypatch):
    monkeypatch.setattr(convolution, "scale_output_bias", lambda bias, affine: bias * affine.scale)
    with pytest.raises(FoldError, match="the output of 'bn0' differs by"):
        fold(model())


def test_a_wrong_border_is_refused(monkeypatch):
    monkeypatch.setattr(convolution, "pads_nothing", lambda _layer: True)
    x = keras.Input((9, 8, 3))
    y = L.Conv2D(4, 3, padding="same", name="conv")(L.BatchNormalization(name="bn")(L.ReLU()(x)))
    with pytest.raises(FoldError, match="the output of 'conv' differs by"):
        fold(randomize(keras.Model(x, y)))


@pytest.mark.parametrize("size", [1e-2, 1e-4])
def test_a_small_error_in_one_channel_is_seen(monkeypatch, size):
    right = convolution.scale_axis

    def wrong(kernel, scale, axis):
        return right(kernel, scale * np.where(np.arange(len(scale)) == 2, 1.0 + size, 1.0), axis)

    monkeypatch.setattr(convolution, "scale_axis", wrong)
    with pytest.raises(FoldError, match="rounding explains"):
        fold(model())


class Forgetful(L.Layer):
    """Comes back from its config with another factor."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


def test_a_layer_that_forgets_its_settings_is_found():
    x = keras.Input((4,))
    y = L.BatchNormalization()(L.Dense(3)(Forgetful(3.0, name="forgetful")(x)))
    with pytest.raises(FoldError, match="the output of 'forgetful' differs by"):
        fold(randomize(keras.Model(x, y)))


def test_inputs_that_no_size_suits():
    x = keras.Input((None,), name="x")
    y = L.BatchNormalization()(L.Dense(3)(L.Reshape((4099,))(x)))
    m = randomize(keras.Model(x, y))
    with pytest.raises(FoldError, match=r"accepts none of those tried \(float32\[None, None\]\)"):
        fold(m)
    assert len(fold(m, inputs=np.zeros((2, 4099), "float32")).report.folded) == 1
    with pytest.raises(FoldError, match="has 1 inputs; received 2"):
        fold(m, inputs=[np.zeros((2, 4099)), np.zeros((2, 4099))])


def test_free_sizes_grow_until_the_model_takes_them():
    x = keras.Input((None, None, 3))
    y = x
    for _ in range(3):
        y = L.Conv2D(2, 5, 3)(y)
    assert len(fold(randomize(keras.Model(x, L.BatchNormalization()(y)))).report.folded) == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 2.0], [1.0, 2.5], 0.25),
        ([0.0, 0.0], [0.0, 2.0**-960], 1024.0),
        ([np.nan, np.inf, -4.0], [np.nan, np.inf, -3.0], 0.25),
        ([np.nan, 1.0], [0.0, 1.0], np.inf),
        ([np.inf, 1.0], [1.0, 1.0], np.inf),
        ([1, 2], [1, 3], np.inf),
        ([True], [True], 0.0),
        ([1.0], [1.0, 1.0], np.inf),
    ],
)
def test_difference_is_relative_to_the_scale(ours, theirs, expected):
    assert difference(np.array(ours), np.array(theirs)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("dtype", "scale", "expected"),
    [("float32", 1e-37, 0.0), ("float32", 1e-29, 0.5), ("float16", 1e-7, 0.0), ("float16", 1e-3, 0.5)],
)
def test_a_signal_that_fades_out_is_no_error(dtype, scale, expected):
    """In a deep untrained model tensors reach numbers that the format has no digits for."""
    ours, theirs = np.array([scale, 0.0], dtype), np.array([1.5 * scale, 0.0], dtype)
    assert difference(ours, theirs) == pytest.approx(expected, abs=2e-3)


def test_nothing_is_compared_in_the_original_twice(monkeypatch):
    """The second look, at the original's own reaction to rounding, is only taken when the first one is not enough."""
    runs = []
    right = check_module.side_by_side
    monkeypatch.setattr(check_module, "side_by_side", lambda *a, **k: runs.append(1) or right(*a, **k))
    fold(model())
    assert len(runs) == 1
