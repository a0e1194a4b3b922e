"""Quantiles as they are written into a file: the same numbers as Keras' own."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops
from keras.src.backend.tensorflow import numpy as backend_numpy
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.saved_model import portable_quantiles

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

quantile = portable_quantiles.quantile(backend_numpy.quantile)


def drawn(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "nearest", "midpoint"])
@pytest.mark.parametrize("q", [0.0, 0.3, 0.5, 1.0, [0.25, 0.75]])
def test_the_same_numbers_as_keras(method, q):
    x = drawn(3, 5, 4)
    x[1, 2, 0] = np.nan
    for axis, keepdims in itertools.product((None, -1, 1, (0, 2)), (False, True)):
        how = {"axis": axis, "method": method, "keepdims": keepdims}
        expected = backend_numpy.quantile(x, q, **how) if not (axis is None and keepdims) else None
        if expected is not None:
            got = quantile(x, q, **how)
            assert got.shape == expected.shape
            np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)


def test_all_axes_stay():
    got = quantile(drawn(3, 5), [0.25, 0.75], keepdims=True)
    np.testing.assert_allclose(got, np.quantile(drawn(3, 5), [0.25, 0.75], keepdims=True), rtol=1e-6)


@pytest.mark.runtime
@pytest.mark.parametrize("export", [to_tflite, to_onnx])
def test_quantiles_of_a_free_batch_are_written(export, tmp_path):
    x, free = keras.Input((10, 8), name="x"), keras.Input((None, 4), name="free")
    outputs = {
        "median": ops.median(x, axis=1),
        "kept": ops.median(x, axis=(1, 2), keepdims=True),
        "percentile": ops.percentile(x, 30.0, axis=1),
        "two": ops.quantile(x, [0.25, 0.75], axis=-1, keepdims=True)[0],
        "last": ops.quantile(free, 0.3, axis=-1, method="nearest"),
        "sum": ops.add(ops.cast(x[:, :, 0], "int32"), ops.cast(x[:, 0, :1], "int32")),
    }
    model = keras.Model([x, free], outputs)
    assert export(model, tmp_path / ("m.onnx" if export is to_onnx else "m.tflite")).verification.ok
