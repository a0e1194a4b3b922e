"""Norms that are called in training mode, or behind a layer that is."""

import keras
import numpy as np
from fold_checks import assert_folds, random_batch, run
from fold_models import bn, conv, image, model

L = keras.layers


def test_training_true_at_the_norm():
    x = image()
    assert_folds(model(x, bn()(conv("conv")(x), training=True)), [], {"bn": "it is called with training=True"})


def test_training_true_reaches_the_norms_after_it():
    x = image()
    y = L.ReLU()(bn("first")(conv("a")(x)))
    y = L.Dropout(0.5, name="mc_dropout")(y, training=True)
    y = L.ReLU()(bn("second")(conv("b")(y)))
    m = model(x, y)
    # As Keras has it: called without a flag, the norm after the dropout uses its batch.
    a, b = run_unset(m), run(m, random_batch(m))[0]
    assert not np.allclose(a, b, atol=1e-3)
    assert_folds(m, ["first"], {"second": "'mc_dropout' is called with training=True"})


def run_unset(m):
    return keras.ops.convert_to_numpy(m(keras.ops.convert_to_tensor(random_batch(m))))


def test_training_false_at_the_norm_folds():
    x = image()
    assert_folds(model(x, L.ReLU()(bn()(conv("conv")(x), training=False))), ["bn"])


def test_training_true_inside_a_nested_model_call():
    inner = keras.Sequential([image(), conv("conv"), bn()], name="inner")
    x = image()
    assert_folds(model(x, L.ReLU()(inner(x, training=True))), [], {"inner/bn": "'inner' is called with training=True"})
