"""Wrappers with a constant kernel in inference become plain layers, and norms fold into these; others stay."""

import keras
import numpy as np
import pytest
from fold_checks import assert_close, random_batch, randomize, run, state, structure
from keras_norms.export.folding.fold import fold, fold_plan

import keras_norms

L = keras.layers
Standardized = keras_norms.WeightStandardization


def net(wrapper=Standardized, norm=L.BatchNormalization):
    """Convolution and dense layer in wrappers; a norm behind the first."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = wrapper(L.Conv2D(6, 3, use_bias=False, name="inside"), name="conv")(image)
    x = L.GlobalAveragePooling2D()(L.ReLU()(norm(name="norm")(x)))
    return randomize(keras.Model(image, wrapper(L.Dense(3), name="dense")(x)))


def assert_unwraps(model, plain, folded, kept=(), x=None):
    """The layers `plain` are plain ones, the norms `folded` are gone; the model is as it was and computes the same."""
    x = random_batch(model) if x is None else x
    before, expected = state(model), run(model, x)
    result, report = fold(model)
    assert state(model) == before
    assert structure(result) == structure(model)
    assert_close(run(result, x), expected, 2e-5)
    assert [r.norm for r in report.folded] == list(folded)
    assert {r.norm for r in report.kept} == set(kept)
    for name, kind in plain.items():
        assert type(result.get_layer(name)) is kind
        assert any(name in note and f"plain {kind.__name__}" in note for note in report.notes)
    assert fold(result).report.notes == []
    return result, report


@pytest.mark.parametrize("scaled", [False, True])
def test_weight_standardization_folds_and_takes_the_norm_in(scaled):
    model = net(lambda layer, name: Standardized(layer, scaled, name=name))
    result, report = assert_unwraps(model, {"conv": L.Conv2D, "dense": L.Dense}, ["norm"])
    assert result.get_layer("conv").use_bias
    assert report.parameters_before == model.count_params()
    assert fold_plan(model).notes == report.notes
    assert "note: 'conv' (WeightStandardization) became a plain Conv2D" in str(report)


def test_a_group_norm_stays_behind_the_plain_layer():
    model = net(norm=lambda name: keras_norms.GroupNormalization(2, name=name))
    result, _ = assert_unwraps(model, {"conv": L.Conv2D, "dense": L.Dense}, [])
    kernel = model.get_layer("conv").standardized_kernel()
    np.testing.assert_allclose(result.get_layer("conv").kernel, kernel, rtol=1e-6)


def test_spectral_normalization_has_the_kernel_that_training_left():
    model = net(L.SpectralNormalization)
    model.compile("sgd", "mse")
    model.fit(random_batch(model), np.zeros((2, 3)), verbose=0)
    result, _ = assert_unwraps(model, {"conv": L.Conv2D, "dense": L.Dense}, ["norm"])
    assert [w.name for w in result.get_layer("dense").weights] == ["kernel", "bias"]


def test_nested_shared_and_time_distributed():
    keras.utils.set_random_seed(1)
    frames = keras.Input((3, 8, 8, 3))
    inner = [keras.Input((8, 8, 3)), Standardized(L.Conv2D(3, 3, padding="same"), name="conv"), L.BatchNormalization()]
    inner = keras.Sequential(inner, name="inner")
    shared = Standardized(L.Dense(3, name="inside"), name="shared")
    x = L.TimeDistributed(inner, name="frames")(frames)
    x = L.TimeDistributed(Standardized(L.Conv2D(4, 3), name="step"), name="steps")(x)
    x = L.Add()([shared(x[..., :2, :3]), shared(x[..., 1:3, 1:])])
    model = randomize(keras.Model(frames, x))
    result, _ = fold(model)
    x = random_batch(model)
    assert_close(run(result, x), run(model, x), 2e-5)
    assert type(result.get_layer("shared")) is L.Dense
    assert type(result.get_layer("steps").layer) is L.Conv2D


def in_training():
    image = keras.Input((8, 8, 3))
    x = L.SpectralNormalization(L.Conv2D(6, 3), name="wrapper")(image, training=True)
    return keras.Model(image, L.BatchNormalization(name="norm")(x)), "runs in training mode"


def masked():
    words = keras.Input((5,), dtype="int32")
    x = L.SpectralNormalization(L.Dense(3), name="wrapper")(L.Embedding(4, 3, mask_zero=True)(words))
    return keras.Model(words, L.BatchNormalization(name="norm")(x)), "drops masks"


def regularized():
    image = keras.Input((8, 8, 3))
    x = Standardized(L.Conv2D(6, 3), activity_regularizer="l2", name="wrapper")(image)
    return keras.Model(image, L.BatchNormalization(name="norm")(x)), "has an activity regularizer of its own"


def casting():
    image = keras.Input((8, 8, 3))
    x = L.SpectralNormalization(L.Conv2D(6, 3, dtype="mixed_float16"), name="wrapper")(image)
    return keras.Model(image, L.BatchNormalization(name="norm")(x)), "also casts to another type"


@pytest.mark.parametrize("make", [in_training, masked, regularized, casting])
def test_what_must_stay(make):
    model, reason = make()
    report = fold_plan(model)
    assert reason in report.notes[0]
    assert report.folded == []
    assert "'wrapper'" in report.kept[0].reason
    if make is not in_training:  # whose kernel changes at every call
        result, _ = fold(model)
        assert type(result.get_layer("wrapper")) is type(model.get_layer("wrapper"))


class Wrong(Standardized):
    """A subclass may compute something else."""

    def call(self, inputs):
        return 2.0 * super().call(inputs)


def test_a_subclass_is_left_alone():
    model = net(Wrong)
    result, report = fold(model)
    x = random_batch(model)
    assert_close(run(result, x), run(model, x), 2e-5)
    assert [r.norm for r in report.kept] == ["norm"]
    assert report.notes == []
