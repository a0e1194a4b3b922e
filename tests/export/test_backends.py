"""Models of Keras on JAX and PyTorch export too: one child process a backend runs the whole table."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.runtime

SUPPORT = Path(__file__).parents[1] / "support"

PROGRAM = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
import keras
from models import NORMS, image_net, two_in_two_out
from own_layers import Doubled
from keras_norms.export import ExportError, to_onnx, to_tflite, verify

folder = pathlib.Path(sys.argv[2])

class InTheScript(keras.layers.Layer):
    def call(self, inputs):
        return inputs

own = keras.Sequential([keras.Input((3,)), Doubled(name="doubled")])
models = [image_net(NORMS[name]) for name in ("BatchRenormalization", "GroupNormalization")] + [two_in_two_out(), own]
for model in models:
    for export, suffix in ((to_tflite, ".tflite"), (to_onnx, ".onnx")):
        report = export(model, folder / f"m{suffix}")
        assert report.verification.relative < 2e-5, report
        if len(model.inputs) == 2:  # what an export makes is verified already; this is the file alone, once a format
            assert verify(model, folder / f"m{suffix}").ok
try:
    to_onnx(keras.Sequential([keras.Input((3,)), InTheScript()]), folder / "n.onnx")
except ExportError as error:
    assert "'InTheScript' is defined where that process cannot import it" in str(error), error
else:
    raise AssertionError("a class of the script crossed to another process")
print(keras.backend.backend(), len(models))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_export_from_another_backend(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    # JAX compiles each operation anew: for these few numbers, in the cheapest way. PyTorch's threads would only wait.
    quick = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "OMP_NUM_THREADS": "1"}
    environment = dict(os.environ, KERAS_BACKEND=backend, **quick)
    command = [sys.executable, "-c", PROGRAM, str(SUPPORT), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [backend, "4"]
