"""Means over thousands of numbers in ONNX files: in stages, and near float64 in ONNX Runtime."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.runtime import OnnxRunner

L = keras.layers
pytestmark = pytest.mark.runtime

POOLED = {
    "pool": ((120, 90, 6), lambda x: L.GlobalAveragePooling2D()(x)),
    "series": ((9000, 5), lambda x: L.GlobalAveragePooling1D()(x)),
    "prime": ((10_007, 3), lambda x: ops.mean(x, axis=1)),
    "total": ((120, 90, 6), lambda x: ops.sum(x, axis=(1, 2, 3)) / 1000.0),
    "free": ((None, None, 6), lambda x: ops.mean(x, axis=(1, 2), keepdims=True)),
}


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("case", POOLED)
def test_long_sums_are_near_float64(case, opset, tmp_path):
    shape, pool = POOLED[case]
    x = keras.Input(shape, name="x")
    model = keras.Model(x, pool(L.Activation("relu")(x)))
    report = to_onnx(model, tmp_path / "m.onnx", opset=opset, tolerance=1e-2)
    assert sum(count for kind, count in report.ops.items() if kind.startswith("Reduce")) == 2
    given = np.abs(3 + np.random.default_rng(0).normal(size=(2, *(n or 100 for n in shape)))).astype("float32")
    exact = given.astype(np.float64)
    axes = tuple(range(1, exact.ndim if case == "total" else exact.ndim - 1))
    expected = exact.sum(axes) / 1000 if case == "total" else exact.mean(axes)
    (got,) = OnnxRunner(tmp_path / "m.onnx").run({"x": given}).values()
    assert np.abs(got.reshape(expected.shape) - expected).max() <= 5e-6 * np.abs(expected).max()


def test_a_series_of_free_length_is_left(tmp_path):
    """No Reshape parts an axis whose length is not known."""
    x = keras.Input((None, 3), name="x")
    report = to_onnx(keras.Model(x, L.GlobalAveragePooling1D()(x)), tmp_path / "m.onnx")
    assert report.ops["ReduceMean"] == 1
