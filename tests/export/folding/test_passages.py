"""A norm's map that travels through pooling, padding and reshaping before a layer takes it in."""

import keras
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn, sequence

L = keras.layers
IMAGE = (9, 8, 4)
SERIES, VOLUME = (12, 4), (6, 5, 4, 4)


PASSAGES = {
    "average1d": (SERIES, lambda: L.AveragePooling1D(2), lambda: L.Conv1D(3, 2), {}),
    "average2d": (IMAGE, lambda: L.AveragePooling2D(2), lambda: L.Conv2D(3, 2), {}),
    "average2d_same": (IMAGE, lambda: L.AveragePooling2D(3, 2, padding="same"), lambda: L.Conv2D(3, 2), {}),
    "average3d": (VOLUME, lambda: L.AveragePooling3D(2), lambda: L.Conv3D(3, 2), {}),
    "max2d_positive": (IMAGE, L.MaxPooling2D, lambda: L.Conv2D(3, 2), {"positive": True}),
    "max2d_same_positive": (
        IMAGE,
        lambda: L.MaxPooling2D(3, padding="same"),
        lambda: L.Conv2D(3, 2),
        {"positive": True},
    ),
    "global_average2d": (IMAGE, L.GlobalAveragePooling2D, lambda: L.Dense(3), {}),
    "global_average2d_kept": (IMAGE, lambda: L.GlobalAveragePooling2D(keepdims=True), lambda: L.Conv2D(3, 1), {}),
    "global_max1d_positive": (SERIES, L.GlobalMaxPooling1D, lambda: L.Dense(3), {"positive": True}),
    "upsampling2d": (IMAGE, L.UpSampling2D, lambda: L.Conv2D(3, 2), {}),
    "upsampling2d_bilinear": (IMAGE, lambda: L.UpSampling2D(interpolation="bilinear"), lambda: L.Conv2D(3, 2), {}),
    "upsampling1d": (SERIES, L.UpSampling1D, lambda: L.Conv1D(3, 2), {}),
    "upsampling3d": (VOLUME, L.UpSampling3D, lambda: L.Conv3D(3, 2), {}),
    "cropping2d": (IMAGE, lambda: L.Cropping2D(1), lambda: L.Conv2D(3, 2), {}),
    "dropout": (IMAGE, lambda: L.Dropout(0.5), lambda: L.Conv2D(3, 2), {}),
    "spatial_dropout": (IMAGE, lambda: L.SpatialDropout2D(0.5), lambda: L.Conv2D(3, 2), {}),
    "noise": (IMAGE, lambda: L.GaussianNoise(0.5), lambda: L.Conv2D(3, 2), {}),
    "identity": (IMAGE, L.Identity, lambda: L.Conv2D(3, 2), {}),
    "linear": (IMAGE, lambda: L.Activation("linear"), lambda: L.Conv2D(3, 2), {}),
    "zero_padding_shiftless": (IMAGE, L.ZeroPadding2D, lambda: L.Conv2D(3, 2), {"shiftless": True}),
    "permute": (IMAGE, lambda: L.Permute((2, 1, 3)), lambda: L.Conv2D(3, 2), {}),
    "reshape": (IMAGE, lambda: L.Reshape((-1, 4)), lambda: L.Conv1D(3, 2), {}),
    "reshape_split": (IMAGE, lambda: L.Reshape((3, 3, 8, 4)), lambda: L.Dense(3), {}),
}


@pytest.mark.parametrize("case", PASSAGES)
def test_backward_through(case):
    shape, passage, _, weights = PASSAGES[case]
    conv = {2: L.Conv1D, 3: L.Conv2D, 4: L.Conv3D}[len(shape)](4, 1, name="conv")
    _, report = assert_folds(sequence(shape, conv, passage(), bn(), L.ReLU(), **weights), ["bn"])
    assert report.folded[0].into == ("conv",)


@pytest.mark.parametrize("case", PASSAGES)
def test_forward_through(case):
    shape, passage, last, weights = PASSAGES[case]
    _, report = assert_folds(sequence(shape, L.ReLU(), bn(), passage(), last(), **weights), ["bn"])
    assert report.folded[0].rule.startswith("before ")


FLATTENED = {
    "channels_last": ((3, 2, 4), -1, {}),
    "channels_first": ((4, 3, 2), 1, {}),
    "channels_first_moved": ((4, 3, 2), 1, {"data_format": "channels_first"}),
    "middle_axis": ((3, 2, 4), 2, {}),
}


@pytest.mark.parametrize("case", FLATTENED)
def test_forward_through_flatten(case):
    shape, axis, options = FLATTENED[case]
    assert_folds(sequence(shape, L.ReLU(), bn(axis=axis), L.Flatten(**options), L.Dense(3)), ["bn"])


def test_backward_through_flatten_only_from_one_position():
    assert_folds(sequence((1, 1, 4), L.Conv2D(5, 1), L.Flatten(), bn(), L.ReLU()), ["bn"])
    assert_folds(
        sequence((2, 1, 4), L.Conv2D(5, 1), L.Flatten(), bn(), L.ReLU()),
        [],
        {"bn": "where the norm is no longer along one axis"},
    )


NOT_THROUGH = {
    "max_negative": (IMAGE, L.MaxPooling2D, "gamma is negative in some channel"),
    "global_max_negative": (IMAGE, L.GlobalMaxPooling2D, "gamma is negative in some channel"),
    "zero_padding": (IMAGE, L.ZeroPadding2D, "pads with zeros, which the norm would shift"),
    "relu": (IMAGE, L.ReLU, "(ReLU) is not linear"),
    "relu_activation": (IMAGE, lambda: L.Activation("relu"), "is the activation 'relu', not linear"),
    "bicubic": (IMAGE, lambda: L.UpSampling2D(interpolation="bicubic"), "interpolates by 'bicubic'"),
    "softmax": (IMAGE, L.Softmax, "(Softmax) is not linear"),
}


@pytest.mark.parametrize("case", NOT_THROUGH)
def test_not_through(case):
    shape, passage, reason = NOT_THROUGH[case]
    assert_folds(sequence(shape, L.Conv2D(4, 1), passage(), bn(), L.ReLU()), [], {"bn": reason})
    last = L.Conv2D(3, 1) if case != "global_max_negative" else L.Dense(3)
    assert_folds(sequence(shape, L.ReLU(), bn(), passage(), last), [], {"bn": reason})


def test_dropout_that_is_on_lets_nothing_through():
    x = keras.Input(IMAGE)
    y = L.Dropout(0.5, name="drop")(L.Conv2D(4, 1)(x), training=True)
    model = keras.Model(x, L.ReLU()(bn()(y, training=False)))
    assert_folds(randomize(model), [], {"bn": "'drop' runs in training mode"})
