"""Norms that meet norms: batch norms in a row, and the affine tails of others."""

from typing import get_args

import keras
import numpy as np
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn, sequence
from keras_norms.export.folding.fold import fold, fold_or_same
from keras_norms.export.options import Tails

import keras_norms

L = keras.layers
IMAGE = (9, 8, 4)


def test_a_norm_behind_a_norm_that_stays():
    _, report = assert_folds(sequence(IMAGE, L.ReLU(), bn("a"), bn("b"), L.ReLU()), ["b"], ["a"])
    assert report.folded[0].into == ("a",)


def test_norms_on_both_sides_of_pooling():
    assert_folds(sequence(IMAGE, L.ReLU(), bn("a"), L.AveragePooling2D(2), bn("b"), L.ReLU()), ["b"], ["a"])


def test_a_norm_with_two_norm_users():
    x = keras.Input(IMAGE)
    y = bn("root")(L.ReLU()(x))
    model = keras.Model(x, [L.ReLU()(bn("left")(y)), L.ReLU()(bn("right", scale=False)(y))])
    assert_folds(randomize(model), ["root"], ["left", "right"])


TAILS = {
    "keras_group": lambda **k: L.GroupNormalization(2, **k),
    "keras_layer": lambda **k: L.LayerNormalization(**k),
    "group": lambda **k: keras_norms.GroupNormalization(2, **k),
    "instance": lambda **k: keras_norms.InstanceNormalization(**k),
    "layer": lambda **k: keras_norms.LayerNormalization(**k),
}


@pytest.mark.parametrize("norm", TAILS)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=["both", "no_center", "no_scale"])
def test_a_batch_norm_behind_another_norm(norm, options):
    model = sequence(IMAGE, L.ReLU(), TAILS[norm](name="other", **options), bn(), L.ReLU())
    _, report = assert_folds(model, ["bn"])
    assert report.folded[0].into == ("other",)


@pytest.mark.parametrize("norm", TAILS)
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}], ids=["both", "no_center", "no_scale"])
def test_gamma_and_beta_move_into_the_layer_behind(norm, options):
    model = sequence(IMAGE, TAILS[norm](name="norm", **options), L.Dropout(0.1), L.Conv2D(3, 3, name="conv"))
    result, report = assert_folds(model, [], tolerance=3e-5)
    (tail,) = report.tails
    assert (tail.norm, tail.into) == ("norm", ("conv",))
    assert result.get_layer("norm").weights == []


@pytest.mark.parametrize("options", [{}, {"axis": 2}], ids=["channels", "another_axis"])
def test_gamma_of_an_rms_norm_becomes_one(options):
    model = sequence((9, 4, 4), L.RMSNormalization(name="norm", **options), L.Conv2D(3, 3, padding="same", name="conv"))
    result, report = assert_folds(model, [], tolerance=3e-5)
    assert [(tail.norm, tail.into) for tail in report.tails] == ([] if options else [("norm", ("conv",))])
    (scale,) = result.get_layer("norm").get_weights()
    assert np.all(scale == 1) != bool(options)
    assert fold(result).report.tails == []


def test_only_the_tails_that_are_asked_for_fold():
    norms = (keras_norms.GroupNormalization(2), L.LayerNormalization(), L.RMSNormalization())
    model = randomize(sequence(IMAGE, *(layer for norm in norms for layer in (norm, L.Dense(4)))))
    found = {tails: len(fold_or_same(model, tails=tails).report.tails) for tails in get_args(Tails)}
    assert found == {"all": 3, "all but RMS": 2, "groups": 1, "none": 0}
    assert fold_or_same(model, tails="none").model is model


def test_a_tail_stays_before_an_activation():
    model = sequence(IMAGE, keras_norms.GroupNormalization(2, name="norm"), L.ReLU(), L.Conv2D(3, 3))
    _, report = assert_folds(model, [])
    assert report.tails == []


def test_a_batch_norm_and_a_tail_go_the_same_way():
    model = sequence(IMAGE, L.ReLU(), keras_norms.GroupNormalization(2, name="gn"), bn(), L.Dense(3, name="dense"))
    _, report = assert_folds(model, ["bn"], tolerance=3e-5)
    assert report.tails[0].into == ("dense",)
