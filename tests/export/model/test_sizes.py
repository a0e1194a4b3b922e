"""The sizes that are tried where a model leaves them free: what folds can be verified, and the other way round."""

import keras
import numpy as np
import pytest
from keras_norms.export import fold
from keras_norms.export.model.signature import signature
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


def test_sizes_climb_so_that_the_smallest_that_suits_is_taken():
    assert list(FREE_SIZES) == sorted(set(FREE_SIZES))
