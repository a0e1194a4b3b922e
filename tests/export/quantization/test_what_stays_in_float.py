"""Operations of which a runtime has no kernel in few bits, or a wrong one, stay in float."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras_norms.export import to_onnx, to_tflite
from models import randomize

pytestmark = pytest.mark.runtime

L = keras.layers


def of(build, *shape):
    keras.utils.set_random_seed(0)
    x = keras.Input(shape, name="x")
    return randomize(keras.Model(x, build(x)))


def image(layer):
    return of(lambda x: layer(L.Conv2D(4, 3, padding="same")(x)), None, None, 3)


HALF = {
    "infinities": lambda: of(lambda x: ops.logsumexp(L.Dense(64)(x), axis=-1), 10, 8),
    "softplus": lambda: of(lambda x: L.Dense(3)(30.0 * L.Dense(8, activation="softplus")(40.0 * x)), 8),
    "sizes known at run time": lambda: image(L.Resizing(4, 5)),
    "twice the size": lambda: image(L.UpSampling2D(2, interpolation="bilinear")),
    "a range of numbers": lambda: image(L.UpSampling2D(2, interpolation="bicubic")),
}


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("case", HALF)
def test_half_precision(case, suffix, tmp_path):
    report = EXPORTS[suffix](HALF[case](), tmp_path / f"m{suffix}", quantize="float16")
    assert min(output.sqnr_db for output in report.verification.outputs.values()) > 55


DIVIDED = {
    "by a gate": lambda x: L.Dense(8)(x) / L.Dense(8, activation="sigmoid")(x),
    "one by it": lambda x: ops.reciprocal(1.5 + L.Dense(8, activation="tanh")(x)),
    "by a sum": lambda x: ops.normalize(L.Dense(8)(x), order=1, axis=-1),
}


@pytest.mark.parametrize("case", DIVIDED)
def test_divisions_in_eight_bits(case, tmp_path):
    data = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")
    report = to_tflite(of(DIVIDED[case], 8), tmp_path / "m.tflite", quantize="int8", calibration=data)
    assert min(output.sqnr_db for output in report.verification.outputs.values()) > 30


def test_a_computed_kernel_in_eight_bits(tmp_path):
    x, y = keras.Input((10,), name="x"), keras.Input((3,), name="y")
    z = ops.correlate(x[0], y[0], mode="same")
    model = keras.Model([x, y], L.Dense(4)(ops.expand_dims(z, 0)))
    data = {"x": np.random.default_rng(0).normal(size=(16, 10)), "y": np.random.default_rng(1).normal(size=(16, 3))}
    data = {name: values.astype("float32") for name, values in data.items()}
    report = to_tflite(model, tmp_path / "m.tflite", quantize="int8", calibration=data, batch_size=1)
    assert report.verification.ok


def test_a_product_with_several_matrices_in_a_dynamic_file(tmp_path):
    dense = L.EinsumDense("abc,bcd->abd", output_shape=(10, 16))
    report = to_onnx(of(lambda x: L.Dense(4)(dense(x)), 10, 8), tmp_path / "m.onnx", quantize="dynamic")
    assert report.verification.quantized == "dynamic"
    assert report.ops["MatMul"] == 1
