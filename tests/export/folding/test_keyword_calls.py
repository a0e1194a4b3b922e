"""Calls that give their tensors by keyword fold as if they gave them by position."""

import keras
import pytest
from fold_checks import assert_folds
from fold_models import IMAGE, bn, conv, image, model

L = keras.layers


def nested(x):
    inner = keras.Sequential([keras.Input(IMAGE), conv("conv"), bn("inside")], name="inner")
    return bn("behind")(inputs=inner(inputs=x))


def summed(x):
    return keras.ops.add(x2=bn("bn")(inputs=conv("conv")(x)), x1=conv("other")(x))


CALLS = {
    "the norm": (lambda x: bn("bn")(inputs=conv("conv")(x)), ["bn"]),
    "both": (lambda x: bn("bn")(inputs=conv("conv")(inputs=x)), ["bn"]),
    "the layer behind": (lambda x: L.Conv2D(4, 3, name="conv")(inputs=bn("bn")(inputs=x)), ["bn"]),
    "a nested model": (nested, ["inner/inside", "behind"]),
    "an operation": (summed, ["bn"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_by_keyword_folds(name):
    build, folded = CALLS[name]
    x = image()
    assert_folds(model(x, build(x)), folded)


def test_a_norm_called_by_keyword_that_stands_for_a_layer_of_its_own():
    x = image()
    assert_folds(model(x, L.ReLU()(bn("bn")(inputs=L.ReLU(name="relu")(x)))), [], {"bn": "'relu' (ReLU) is not linear"})


def test_a_mask_before_the_tensor_is_no_input():
    x = image()
    mask = keras.ops.any(keras.ops.not_equal(x, 0.0), axis=-1)
    y = bn("bn")(mask=mask, inputs=L.ReLU(name="relu")(x))
    assert_folds(model(x, L.ReLU()(y)), [], {"bn": "explicit mask"})
