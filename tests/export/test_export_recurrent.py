"""Recurrent layers in both formats, and the loops that TFLite makes of them beside what is quantized."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras_norms.export import ExportError, to_onnx, to_tflite
from models import randomize

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


def recurrent(cell):
    inputs = keras.Input((3, 4), name="steps")
    x = keras_norms.LayerNormalization()(cell(8, return_sequences=True, name="first")(inputs))
    return randomize(keras.Model(inputs, L.Bidirectional(cell(3), name="both")(x)))


@pytest.mark.parametrize("cell", [L.LSTM, L.GRU])
def test_recurrent_layers(cell, tmp_path):
    model = recurrent(cell)
    assert to_onnx(model, tmp_path / "m.onnx").verification.relative < 2e-5
    assert to_tflite(model, tmp_path / "m.tflite", batch_size=1).verification.relative < 2e-5
    with pytest.raises(ExportError, match=r"fixed batch for recurrent layers \(both.*\). Pass batch_size=1"):
        to_tflite(model, tmp_path / "free.tflite")


@pytest.mark.parametrize(("suffix", "mode"), [(".tflite", "int8"), (".tflite", "int16x8"), (".onnx", "int8")])
@pytest.mark.parametrize("norm", [True, False])
def test_loops_are_quantized_around(norm, suffix, mode, tmp_path):
    """The loop that TFLite makes of a recurrent layer gives back its input too, which has no data of its own."""
    video = np.random.default_rng(0).normal(size=(16, 3, 4, 4, 2)).astype("float32")
    last = [keras_norms.LayerNormalization()] if norm else []
    layers = [L.ConvLSTM2D(3, 3, return_sequences=True), L.Reshape((3, 12)), L.LSTM(8, return_sequences=True), *last]
    model = randomize(keras.Sequential([keras.Input((3, 4, 4, 2)), *layers, L.Dense(3)]))
    report = EXPORTS[suffix](model, tmp_path / f"m{suffix}", batch_size=1, quantize=mode, calibration=video)
    assert report.verification.checks[0].sqnr_db > 25
