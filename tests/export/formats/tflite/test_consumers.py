"""Artifacts in the ways their users load them, and what making them costs the process that asks for it."""

import gc
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import to_tflite
from models import NORMS, image_net

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize("quantize", [None, "int8"])
def test_interpreter_and_compiled_model_run_it(quantize, tmp_path):
    x = np.random.default_rng(0).normal(size=(16, 12, 12, 3)).astype("float32")
    model, path = image_net(NORMS["GroupNormalization"], channels=16), str(tmp_path / "m.tflite")
    to_tflite(model, path, batch_size=1, quantize=quantize, calibration=x if quantize else None)
    interpreter = Interpreter(path)
    expected = interpreter.get_signature_runner()(image=x[:1])["logits"]
    compiled = CompiledModel.from_file(path)
    inputs, outputs = compiled.create_input_buffers(0), compiled.create_output_buffers(0)
    inputs[0].write(x[:1])
    compiled.run_by_index(0, inputs, outputs)
    got = outputs[0].read(4, np.float32)
    np.testing.assert_allclose(got, expected[0], atol=1e-5 if quantize is None else 0.02)
    np.testing.assert_allclose(got, model(x[:1])[0], atol=1e-5 if quantize is None else 0.2)


def resident_megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' /proc")
def test_exports_leave_the_caller_as_small_as_it_was(tmp_path):
    inputs = keras.Input((64,), name="x")
    model = keras.Sequential([inputs, keras.layers.Dense(64), NORMS["LayerNormalization"]()])
    to_tflite(model, tmp_path / "m.tflite")
    gc.collect()
    before = resident_megabytes()
    for _ in range(10):
        to_tflite(model, tmp_path / "m.tflite")
    gc.collect()
    assert resident_megabytes() - before < 25


def test_the_bias_of_a_volume_convolution_is_part_of_it(tmp_path):
    inputs = keras.Input((6, 6, 6, 4), name="x")
    model = keras.Sequential([inputs, keras.layers.Conv3D(8, 3, bias_initializer="normal", activation="relu")])
    assert to_tflite(model, tmp_path / "m.tflite", batch_size=1).ops == {"CONV_3D": 1}
