"""Projective transforms as they are written into a file: the same numbers as Keras' own."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras.src.backend.tensorflow import image as backend_image
from keras_norms.export.saved_model import portable_transforms
from keras_norms.export.saved_model.portable_ops import portable

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

MOVES = {
    "shifted": [1, 0, 1.25, 0, 1, -2.5, 0, 0],
    "turned": [0.8, 0.6, -1.0, -0.6, 0.8, 2.0, 0, 0],
    "far": [1, 0, 17.3, 0, 1, -23.6, 0, 0],
    "in perspective": [1.1, 0.1, 0.5, 0.05, 0.9, 0.3, 0.02, -0.01],
}


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
def test_pixels_are_moved(move, interpolation, fill_mode):
    a = np.array([MOVES[move]], np.float32)
    form = portable_transforms.affine(backend_image.affine_transform)
    for x, layout in ((drawn(2, 6, 8, 3), "channels_last"), (drawn(2, 3, 6, 8), "channels_first")):
        how = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.5, "data_format": layout}
        expected = backend_image.affine_transform(x, a, **how)
        np.testing.assert_allclose(form(x, a, **how), expected, rtol=1e-4, atol=2e-5)


def test_corners_are_moved():
    start = np.array([[0.0, 0.0], [0.0, 7.0], [5.0, 0.0], [5.0, 7.0]], np.float32)
    end = np.array([[1.0, 0.0], [0.0, 6.0], [5.0, 1.0], [5.0, 7.0]], np.float32)
    x, how = drawn(6, 8, 3), {"fill_value": 0.5, "data_format": "channels_last"}
    expected = backend_image.perspective_transform(x, start, end, **how)
    with portable(channels_first=True):
        got = backend_image.perspective_transform(x, start, end, **how)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_transforms_are_written(suffix, tmp_path):
    x = keras.Input((8, 8, 2), name="x")
    outputs = {
        move: ops.image.affine_transform(x, np.array([a], np.float32)) for move, a in MOVES.items() if move != "far"
    }
    model = keras.Model(x, list(outputs.values()))
    assert EXPORTS[suffix](model, tmp_path / f"m{suffix}").verification.ok
