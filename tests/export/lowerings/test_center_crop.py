"""The middle of images of free sizes, in a file that cuts large ones and enlarges small ones, as Keras does eagerly."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export import to_tflite
from keras_norms.export.formats import format_of

pytestmark = pytest.mark.runtime

L = keras.layers
SIZES = [(8, 9), (4, 6), (3, 9), (9, 4), (2, 2), (17, 5)]


def images(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_images_of_every_size(layout, suffix, tmp_path):
    last = layout == "channels_last"
    x = keras.Input((None, None, 3) if last else (3, None, None), name="x")
    model, path = keras.Model(x, L.CenterCrop(4, 6, data_format=layout)(x)), tmp_path / f"m{suffix}"
    assert EXPORTS[suffix](model, path).verification.relative < 2e-5
    for runner in format_of(path).runners(path).values():
        for size in SIZES:
            image = images(2, *size, 3) if last else images(2, 3, *size)
            (got,) = runner.run({"x": image}).values()
            np.testing.assert_allclose(got, model(image), rtol=0, atol=1e-5, err_msg=str(size))


@pytest.mark.parametrize("suffix", EXPORTS)
def test_what_follows_counts_on_the_size(suffix, tmp_path):
    x = keras.Input((None, 9, 3), name="x")
    small = L.MaxPooling2D()(L.CenterCrop(4, 6)(x))
    report = EXPORTS[suffix](keras.Model(x, L.Conv2D(2, 3)(L.CenterCrop(5, 4)(small))), tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
    assert report.ops["IF" if suffix == ".tflite" else "If"] == 1


def test_images_of_a_fixed_size_are_cut_without_a_branch(tmp_path):
    x = keras.Input((8, 9, 3), name="x")
    assert to_tflite(keras.Model(x, L.CenterCrop(4, 6)(x)), tmp_path / "m.tflite").ops == {"STRIDED_SLICE": 1}
