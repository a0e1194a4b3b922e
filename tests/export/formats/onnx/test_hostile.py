"""Rows and groups far from zero, constant or infinite, in every runtime of an .onnx file."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.runtime import runners
from onnx_files import chain

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


def outputs(path, x):
    for name, runner in runners(path).items():
        yield name, next(iter(runner.run({"x": x}).values()))


def test_layer_norm_of_rows_far_from_zero_is_exact(tmp_path):
    model = chain((4,), keras_norms.LayerNormalization(epsilon=1e-6, scale=False, center=False))
    for opset in (16, 18):
        to_onnx(model, tmp_path / "m.onnx", opset=opset)
        for runtime, y in outputs(tmp_path / "m.onnx", np.array([[40000, 40001, 40002, 40003]], "float32")):
            np.testing.assert_allclose(y[0], np.array([-3, -1, 1, 3]) / np.sqrt(5), atol=1e-5, err_msg=runtime)


@pytest.mark.parametrize("norm", [lambda: keras_norms.GroupNormalization(2), keras_norms.InstanceNormalization])
def test_groups_far_from_zero_constant_or_infinite(norm, tmp_path):
    model, path = chain((16, 16, 4), norm()), tmp_path / "m.onnx"
    to_onnx(model, path)
    layer = model.layers[-1]
    gamma, beta = (keras.ops.convert_to_numpy(w).astype("float64") for w in (layer.gamma, layer.beta))
    rng = np.random.default_rng(0)
    x = (40_000 + rng.integers(0, 4, (2, 16, 16, 4))).astype("float32")
    x[1] = 1234.0
    grouped = x.astype("float64").reshape(2, 256, getattr(layer, "groups", 4), -1)
    mean, variance = grouped.mean((1, 3), keepdims=True), grouped.var((1, 3), keepdims=True)
    expected = ((grouped - mean) / np.sqrt(variance + layer.epsilon)).reshape(x.shape) * gamma + beta
    hurt = x.copy()
    hurt[0, 3, 3, 0] = np.inf
    whole = slice(2, None) if hasattr(layer, "groups") else slice(1, None)
    for runtime, y in outputs(path, x):
        if "reference" not in runtime:  # which sums up in float32 too
            np.testing.assert_allclose(y, expected, atol=2e-5, err_msg=runtime)
    for runtime, y in outputs(path, hurt):
        if "reference" not in runtime:
            np.testing.assert_allclose(y[0, ..., whole], expected[0, ..., whole], atol=2e-5, err_msg=runtime)
            np.testing.assert_allclose(y[1], expected[1], atol=2e-5, err_msg=runtime)
