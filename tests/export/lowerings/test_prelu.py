"""PReLU in every rank and with every choice of shared axes, in TFLite and in ONNX."""

from collections import Counter

import keras
import pytest
from keras_norms.export import to_onnx, to_tflite

pytestmark = pytest.mark.runtime

L = keras.layers
BETWEEN_RESHAPES = {"PRELU": 1, "RESHAPE": 2}
# Shape, shared axes, what it is in .tflite.
CASES = [
    ((4,), None, {"PRELU": 1}),
    ((4, 3), (1,), {"PRELU": 1}),
    ((4, 5, 3), (1, 2), {"PRELU": 1}),
    ((None, None, 3), (1, 2), {"PRELU": 1}),
    ((4, 5, 6, 3), (1, 2, 3), BETWEEN_RESHAPES),
    ((4, 5, 6, 3), (2, 3, 4), BETWEEN_RESHAPES),  # channels first
    ((4, 5, 6, 3), (1, 3), BETWEEN_RESHAPES),
    ((4, 5, 6, 3), (4,), BETWEEN_RESHAPES),
    ((4, 5, 6, 3), (2, 4), {"RELU": 1, "MINIMUM": 1, "MUL": 1, "ADD": 1}),
    ((4, 5, 6, 3), None, BETWEEN_RESHAPES),
    ((None, None, None, 3), (1, 2, 3), {"RELU": 1, "MINIMUM": 1, "MUL": 1, "ADD": 1}),
]


def slopes(shape, dtype=None):
    return keras.random.normal(shape, stddev=0.4, seed=1, dtype=dtype)


def made(shape, shared):
    x = keras.Input(shape)
    return x, L.PReLU(slopes, shared_axes=shared)(x)


def test_prelu_has_a_form_in_every_rank(tmp_path):
    xs, ys = zip(*(made(shape, shared) for shape, shared, _ in CASES), strict=True)
    report = to_tflite(keras.Model(xs, ys), tmp_path / "m.tflite")
    assert report.ops == sum((Counter(ops) for *_, ops in CASES), Counter())
    assert report.verification.relative < 1e-6


def test_prelu_of_volumes_in_onnx(tmp_path):
    report = to_onnx(keras.Model(*made((4, 5, 6, 3), (1, 2, 3))), tmp_path / "m.onnx")
    assert report.verification.relative < 1e-6
    assert "Reshape" not in report.ops
