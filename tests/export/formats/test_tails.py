"""For which files gamma and beta of a norm go into the layers behind it."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export.formats.onnx.onnx_format import OnnxFormat
from keras_norms.export.formats.tflite.tflite_format import TFLiteFormat
from keras_norms.export.options import OnnxOptions, TFLiteOptions
from models import randomize

L = keras.layers


@pytest.mark.parametrize(
    ("options", "tails"),
    [
        ({}, "all"),
        ({"target": "gpu"}, "all"),
        ({"target": "micro"}, "all"),
        ({"quantize": "float16"}, "all"),
        ({"quantize": "int8"}, "all"),
        ({"quantize": "dynamic"}, "none"),
        ({"quantize": "int16x8"}, "none"),
        ({"quantize": "int8", "target": "npu"}, "none"),
        ({"quantize": "int8", "target": "micro"}, "none"),
    ],
)
def test_in_tflite(options, tails):
    assert TFLiteFormat().tails(TFLiteOptions(**options)) == tails


@pytest.mark.parametrize(
    ("options", "tails"),
    [
        ({}, "groups"),
        ({"norms": "standard"}, "none"),
        ({"quantize": "float16"}, "groups"),
        ({"quantize": "int8"}, "all but RMS"),
        ({"quantize": "int8", "opset": 16}, "groups"),
        ({"quantize": "dynamic"}, "none"),
    ],
)
def test_in_onnx(options, tails):
    assert OnnxFormat().tails(OnnxOptions(**options)) == tails


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", EXPORTS)
def test_8_bits_hold_a_result_whose_gamma_spreads(suffix, tmp_path):
    rng = np.random.default_rng(0)
    x = keras.Input((6, 16))
    model = randomize(keras.Model(x, L.Dense(8)(L.LayerNormalization(name="norm")(x))))
    model.get_layer("norm").gamma.assign(rng.lognormal(0, 1.5, 16))
    rows = rng.normal(size=(64, 6, 16)).astype("float32")
    decibels = {}
    for fold in (True, False):
        path = tmp_path / f"{fold}{suffix}"
        report = EXPORTS[suffix](model, path, quantize="int8", calibration=rows, fold=fold, tolerance=0.5)
        decibels[fold] = min(check.sqnr_db for check in report.verification.checks if check.sqnr_db is not None)
    assert decibels[True] > decibels[False] + 1
