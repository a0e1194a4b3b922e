"""log1p and expm1 as they are written into a file, in float32 against float64."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import to_onnx, to_tflite

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations")

NUMBERS = np.concatenate([[0.0], *(sign * np.geomspace(1e-30, 0.999, 2000) for sign in (1, -1)), [3.0, 60.0, 88.0]])


@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_each_number_is_right_to_a_few_rounding_steps(name):
    from keras_norms.export.saved_model import portable_logarithms

    x = NUMBERS.astype("float32")
    got, exact = getattr(portable_logarithms, name)(x).numpy(), getattr(np, name)(x.astype("float64"))
    np.testing.assert_allclose(got, exact, rtol=8 * 2.0**-23)


@pytest.mark.runtime
@pytest.mark.parametrize("export", [to_onnx, to_tflite])
def test_small_numbers_come_out_of_a_file(export, tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, [ops.log1p(x * 1e-6), ops.expm1(x * -1e-6), ops.expm1(x)])
    assert export(model, tmp_path / ("m.onnx" if export is to_onnx else "m.tflite")).verification.ok
