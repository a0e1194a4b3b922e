"""The main job on a network people ship: a saved MobileNetV2 through the command, to both formats."""

import json

import keras
import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli
from models import randomize


@pytest.mark.runtime
def test_a_saved_mobilenet_folds_and_exports_to_both_formats(tmp_path, capfd):
    shape = (64, 64, 3)
    model = randomize(keras.applications.MobileNetV2(weights=None, alpha=0.35, input_shape=shape, classes=10))
    norms = [layer.name for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    model.save(tmp_path / "net.keras")
    outputs = [tmp_path / "net.tflite", tmp_path / "net.onnx"]
    arguments = ["export", tmp_path / "net.keras", *outputs, "--json"]
    capfd.readouterr()
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert capfd.readouterr() == ("", ""), "the converters' noise stays off the terminal"
    reports = json.loads(result.stdout)
    for report in reports:
        assert sorted(record["norm"] for record in report["fold"]["folded"]) == sorted(norms)
        assert (len(norms), report["fold"]["kept"]) == (52, [])
        assert report["verification"]["ok"]
        assert report["verification"]["outputs"]["predictions"]["relative"] < 1e-5
    tflite, onnx = reports
    assert tflite["ops"] == {
        "ADD": 10,
        "CONV_2D": 35,
        "DEPTHWISE_CONV_2D": 17,
        "FULLY_CONNECTED": 1,
        "MEAN": 1,
        "SOFTMAX": 1,
    }
    assert onnx["ops"]["Conv"] == 52
    assert onnx["ops"]["Transpose"] == 1
