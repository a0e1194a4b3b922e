"""Half and double precision."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds
from fold_models import bn, sequence

L = keras.layers
IMAGE = (9, 8, 4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    if policy == "mixed_bfloat16" and keras.backend.backend() == "torch":
        pytest.skip("slow on a CPU")
    keras.config.set_dtype_policy(policy)
    try:
        model = sequence(IMAGE, L.Conv2D(8, 3), bn("a"), L.ReLU(), L.DepthwiseConv2D(3), bn("b"), L.Dense(3))
        tolerance = 2e-2 if policy == "mixed_float16" else 1e-1
        result, _ = assert_folds(model, ["a", "b"], tolerance=tolerance)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(w.dtype == "float32" for w in result.weights)


def test_a_norm_in_another_dtype_than_its_layer_stays():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="mixed_float16"), bn(dtype="float32"), L.ReLU())
    assert_folds(model, [], {"bn": "it also casts from float16 to float32"}, tolerance=1e-2)


def test_weights_that_float16_cannot_hold():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="mixed_float16"), bn(dtype="mixed_float16"), L.ReLU())
    model.get_layer("bn").moving_variance.assign(np.full(8, 1e14))
    assert_folds(model, [], {"bn": "would underflow float16"}, tolerance=1e-2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras' own norm is not exact in float64 there")
def test_float64():
    model = sequence(IMAGE, L.Conv2D(8, 3, dtype="float64"), bn(dtype="float64"), L.ReLU(dtype="float64"))
    _, report = assert_folds(model, ["bn"])
    assert report.error < 1e-12
