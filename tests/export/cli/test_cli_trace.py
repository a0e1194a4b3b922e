"""`--trace` of `keras-norms export` and `verify`: a table, files on request, and one line where it cannot be."""

import json
import re

import pytest
from click.testing import CliRunner
from keras_norms.export.report.layer_trace import PLOTS
from keras_norms_cli import trace_files
from keras_norms_cli.commands import cli


def invoke(*line):
    return CliRunner().invoke(cli, [str(part) for part in line])


def test_the_command_knows_the_plots():
    assert trace_files.PLOTS == PLOTS


WRONG = [
    (["a.tflite", "b.onnx", "--trace-plot", "p.png"], "--trace-plot goes with one OUT; got 2."),
    (["a.tflite", "b.onnx", "--trace-nodes", "n.json"], "--trace-nodes goes with one OUT; got 2."),
    (["a.tflite", "--trace-plot", "p.bmp"], "--trace-plot must end in .png, .svg, .pdf; got 'p.bmp'."),
    (["a.tflite", "--trace-nodes", "a.tflite"], "'a.tflite' stands there twice"),
    (["a.tflite", "--certificate", "--trace-nodes", "a.tflite.json"], "'a.tflite.json' stands there twice"),
    (["a.tflite", "--trace-plot", "p.png", "--trace-nodes", "p.png"], "'p.png' stands there twice"),
]


@pytest.mark.parametrize(("line", "told"), WRONG)
def test_options_that_do_not_fit_are_refused_before_any_work(line, told, model_files):
    done = invoke("export", model_files / "model.keras", *line)
    assert done.exit_code == 2
    assert told in done.stderr


def test_without_matplotlib_nothing_is_exported(model_files, tmp_path, monkeypatch):
    monkeypatch.setattr(trace_files, "find_spec", lambda name: None)
    done = invoke("export", model_files / "model.keras", tmp_path / "a.tflite", "--trace-plot", tmp_path / "p.png")
    assert done.exit_code == 1
    told = "--trace-plot needs matplotlib, which is not installed: pip install 'keras-norms[demo]'"
    assert done.stderr == f"Error: {told}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.runtime
@pytest.mark.parametrize("option", ["--trace-plot", "--trace-nodes"])
def test_a_path_that_cannot_be_written_is_refused_before_any_work(option, model_files, tmp_path):
    where = tmp_path / "missing" / "p.png"
    done = invoke("export", model_files / "model.keras", tmp_path / "a.tflite", option, where)
    assert done.exit_code == 1
    assert done.stderr == f"Error: The directory '{where.parent}' does not exist. Create it first.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.runtime
def test_a_trace_and_its_files(model_files, tmp_path):
    pytest.importorskip("matplotlib")
    model, out = model_files / "model.keras", tmp_path / "a.onnx"
    plot, nodes = tmp_path / "p.png", tmp_path / "n.json"
    done = invoke("export", model, out, "--trace-plot", plot, "--trace-nodes", nodes)
    assert done.exit_code == 0, done.output
    assert "Layer by layer, on random inputs, 3 rows, in ONNX Runtime, not optimized" in done.stdout
    assert re.search(r"^  folds +BatchNormalization +- +- +- +folded into 'conv_a'$", done.stdout, re.MULTILINE)
    assert re.search(r"^  logits +Dense +1\d\d\.\d +\d\.\de-0\d +logits$", done.stdout, re.MULTILINE)
    assert done.stdout.endswith(f"  plot of the trace: {plot}\n  nodes of the trace: {nodes}\n")
    assert plot.read_bytes().startswith(b"\x89PNG")
    results = json.loads(nodes.read_text())["results"]
    assert results["logits"]["value"] > 100
    done = invoke("verify", model, out, "--trace", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["trace"]["layers"][-1]["layer"] == "logits"


@pytest.mark.runtime
def test_a_plot_that_fails_late_loses_no_file(model_files, tmp_path, monkeypatch):
    """The disk is full by then."""

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("keras_norms.export.report.layer_trace.LayerTrace.save_nodes", full)
    nodes = tmp_path / "n.json"
    done = invoke("export", model_files / "model.keras", tmp_path / "a.onnx", "--trace-nodes", nodes)
    assert done.exit_code == 1
    assert done.stderr == f"Error: '{nodes}' cannot be written: No space left on device.\n"
    assert (tmp_path / "a.onnx").is_file()
