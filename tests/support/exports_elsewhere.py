"""Exports of models of Keras on JAX and PyTorch, for backend_child.py."""

import tempfile
from pathlib import Path

import keras
from keras_norms.export import ExportError, to_onnx, to_tflite, verify
from models import NORMS, image_net, two_in_two_out
from own_layers import Doubled


def exports_from_here(of_the_script):
    """Every model in both formats. A class that the script defines cannot cross to the process that converts."""
    with tempfile.TemporaryDirectory() as folder:
        for model in _models():
            for export, suffix in ((to_tflite, ".tflite"), (to_onnx, ".onnx")):
                path = Path(folder) / f"m{suffix}"
                report = export(model, path)
                assert report.verification.relative < 2e-5, report
                if len(model.inputs) == 2:  # an export has verified it already; this is the file alone, once a format
                    assert verify(model, path).ok
        _cannot_cross(of_the_script, Path(folder) / "n.onnx")


def _models():
    yield from (image_net(NORMS[name]) for name in ("BatchRenormalization", "GroupNormalization"))
    yield two_in_two_out()
    yield keras.Sequential([keras.Input((3,)), Doubled(name="doubled")])


def _cannot_cross(layer, path):
    said = ""
    try:
        to_onnx(keras.Sequential([keras.Input((3,)), layer()]), path)
    except ExportError as error:
        said = str(error)
    assert f"'{layer.__name__}' is defined where that process cannot import it" in said, said
