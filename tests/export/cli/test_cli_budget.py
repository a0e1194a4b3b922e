"""`keras-norms export --quantize auto`: its budget, its tables, its plot, and what does not go together."""

import json

import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli


def invoke(*line):
    return CliRunner().invoke(cli, [str(part) for part in line])


AUTO = ["--quantize", "auto", "--calibration", "by_name.npz"]
WRONG = [
    (["a.tflite", *AUTO], "--quantize auto needs --max-bytes N or --min-db DB, or both."),
    (["a.tflite", "--quantize", "auto", "--min-db", "30"], "--quantize auto needs --calibration FILE.npz"),
    (["a.tflite", "--max-bytes", "900"], "--max-bytes goes with --quantize auto only."),
    (["a.tflite", "--min-db", "30", "--quantize", "float16"], "--min-db goes with --quantize auto only."),
    (["a.tflite", "--size-plot", "p.png"], "--size-plot goes with --quantize auto only."),
    (["a.tflite", *AUTO, "--max-bytes", "0"], "0 is not in the range x>=1"),
    (["a.tflite", *AUTO, "--min-db", "0"], "0.0 is not in the range x>0"),
    (["a.tflite", *AUTO, "--min-db", "9", "--size-plot", "p.bmp"], "--size-plot must end in .png, .svg, .pdf"),
    (["a.tflite", "b.onnx", *AUTO, "--min-db", "9", "--size-plot", "p.png"], "--size-plot goes with one OUT; got 2."),
    (["a.tflite", *AUTO, "--min-db", "9", "--size-plot", "model.keras"], "--size-plot must end in"),
]


@pytest.mark.parametrize(("line", "told"), WRONG)
def test_options_that_do_not_fit_are_refused_before_any_work(line, told, model_files, monkeypatch):
    monkeypatch.chdir(model_files)
    done = invoke("export", "model.keras", *line)
    assert done.exit_code == 2
    assert told in done.stderr


@pytest.mark.runtime
def test_the_tables_and_the_plot(model_files, tmp_path):
    out, plot = tmp_path / "a.onnx", tmp_path / "curve.svg"
    asked = ["--quantize", "auto", "--calibration", model_files / "by_name.npz", "--min-db", "25", "--size-plot", plot]
    done = invoke("export", model_files / "model.keras", out, *asked)
    assert done.exit_code == 0, done.stderr
    assert "Budget: at least 25 dB. Written: " in done.stdout
    assert "<- written" in done.stdout
    assert plot.read_text().startswith("<?xml")
    assert json.loads(invoke("verify", model_files / "model.keras", out, "--json").stdout)["quantized"] in (
        "auto",
        None,
    )
