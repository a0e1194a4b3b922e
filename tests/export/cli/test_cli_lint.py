"""`lint`, certificates, labels and targets from the command line."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def files(model_files, tmp_path_factory):
    directory = tmp_path_factory.mktemp("cli_lint") / "files"
    shutil.copytree(model_files, directory)
    (directory / "names.txt").write_text("one\ntwo\nthree\nfour\n\nfünf\n", encoding="utf-8")
    (directory / "three.txt").write_text("one\ntwo\nthree\n")
    (directory / "bytes.txt").write_bytes(b"\xff\xfe\x00\x81")
    image = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.savez(directory / "large.npz", image=5000 * image)
    for line in (
        "export model.keras default.tflite --batch-size 1",
        "export model.keras gpu.tflite --batch-size 1 --target gpu --labels names.txt --certificate",
        "export model.keras net.onnx --certificate",
    ):
        run(directory, line)
    return directory


def run(directory, line, code=0):
    words = [str(directory / word) if "." in word else word for word in line.split()]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == code, result.output
    return result


def test_lint_names_the_layer_that_overflows_and_ends_with_1(files):
    line = "lint default.tflite --model model.keras --calibration large.npz"
    text = run(files, line, code=1).stdout
    assert "XNNPACK runs" in text
    assert "float16 overflow" in text
    report = json.loads(run(files, f"{line} --json", code=1).stdout)
    (finding,) = (finding for finding in report["findings"] if finding["kind"] == "float16 overflow")
    assert finding["layer"] == "grouped"
    assert report["xnnpack"]["left"] == {}


def test_lint_of_the_gpus_form_is_clean(files):
    text = run(files, "lint gpu.tflite --model model.keras --calibration large.npz").stdout
    assert "nothing that a GPU delegate rejects" in text


def test_a_certificate_is_told_of_and_checked(files):
    (report,) = json.loads(run(files, "export model.keras again.onnx --certificate --json").stdout)
    assert report["certificate"].endswith("again.onnx.json")
    text = run(files, "verify model.keras net.onnx").stdout
    assert "reproduces its model, and its certificate holds." in text
    assert "figures measured again" in text
    found = json.loads(run(files, "verify model.keras gpu.tflite --json").stdout)
    assert found["certificate"]["differences"] == []
    assert json.loads(found["metadata"]["labels"]) == ["one", "two", "three", "four", "fünf"]


def test_a_broken_file_ends_with_1_and_names_the_layer(files, tmp_path):
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model(str(files / "gpu.tflite"))
    weights = next(t for t in model.subgraphs[0].tensors if list(t.shape) == [5, 4])
    data = np.frombuffer(bytes(model.buffers[weights.buffer].data), "float32") * 1.1
    model.buffers[weights.buffer].data = np.frombuffer(data.astype("float32").tobytes(), "uint8")
    flatbuffer_utils.write_model(model, str(tmp_path / "gpu.tflite"))
    (tmp_path / "gpu.tflite.json").write_bytes((files / "gpu.tflite.json").read_bytes())
    arguments = ["verify", str(files / "model.keras"), str(tmp_path / "gpu.tflite"), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert report["first_divergence"] == "logits"
    assert "is not the file that was certified" in report["certificate"]["differences"][0]


WRONG_USAGE = [
    ("lint net.onnx", "must end in .tflite"),
    ("export model.keras a.onnx --target gpu", "--target is for .tflite, and no OUT ends in .tflite"),
    ("export model.keras a.onnx --allow-flex", "--allow-flex is for .tflite"),
    ("export model.keras a.tflite --target tpu", "'tpu' is not one of 'gpu', 'npu'"),
]
REFUSED = [
    ("lint missing.tflite", "There is no artifact"),
    ("lint default.tflite --model missing.keras", "There is no model file"),
    ("lint default.tflite --calibration wrong_name.npz", "must hold one array for each input of the model, 'image'"),
    ("lint default.tflite --calibration wrong_shape.npz", "[2, 4, 8, 3]"),
    ("export model.keras a.onnx --labels missing.txt", "There is no file"),
    ("export model.keras a.onnx --labels bytes.txt", "cannot be read as text in UTF-8"),
    ("export model.keras a.onnx --labels three.txt", "as many as its last dimension, 5; got 3"),
]


@pytest.mark.parametrize(
    ("line", "text", "code"), [(*case, 2) for case in WRONG_USAGE] + [(*case, 1) for case in REFUSED]
)
def test_what_cannot_be_is_refused(files, line, text, code):
    before = sorted(files.iterdir())
    result = run(files, line, code)
    assert text in result.stderr
    assert result.stdout == ""
    assert sorted(files.iterdir()) == before
