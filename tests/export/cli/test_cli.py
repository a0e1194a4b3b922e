"""The command on good input: what it writes, prints and returns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from exports import EXPORTS
from keras_norms.export.formats import FORMATS, format_of
from keras_norms.export.quantization.modes import MODES
from keras_norms_cli import arguments
from keras_norms_cli.commands import cli
from keras_norms_cli.commands.export_request import WRITERS

import keras_norms


@pytest.fixture
def files(model_files):
    return model_files


@pytest.fixture(scope="module")
def fixed(model_files, tmp_path_factory):
    """(directory, reports) of one export with its batch size and opset fixed, as JSON."""
    directory = tmp_path_factory.mktemp("fixed")
    outs = [directory / "a.tflite", directory / "b.onnx"]
    options = ["--batch-size", 2, "--opset", 17, "--json"]
    return directory, json.loads(run("export", model_files / "model.keras", *outs, *options).stdout)


@pytest.fixture(scope="module")
def verified(model_files, exported):
    """What `verify` says of the exported file on its own inputs alone."""
    return json.loads(run("verify", model_files / "model.keras", exported[0] / "a.tflite", "--json").stdout)


def run(*args, code=0):
    result = CliRunner().invoke(cli, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def test_inspect_tells_what_folds_and_what_stays(files):
    text = run("inspect", files / "model.keras").stdout
    assert "image (any, 8, 8, 3) float32" in text
    assert "1 of 3 norms would fold." in text
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert "conv_a" in rows["folds"]
    assert "BatchRenormalization" in rows["stays"]
    assert "takes its statistics from each input" in rows["grouped"]


def test_inspect_json_has_a_reason_for_each_norm_that_stays(files):
    found = json.loads(run("inspect", files / "model.keras", "--json").stdout)
    assert found["inputs"] == [{"name": "image", "shape": [None, 8, 8, 3], "dtype": "float32"}]
    assert found["outputs"] == ["logits"]
    norms = {norm["norm"]: norm for norm in found["norms"]}
    assert norms["folds"]["into"] == ["conv_a"]
    assert all(norms[name]["reason"] and not norms[name]["folds"] for name in ("stays", "grouped"))


def test_inspect_shows_what_data_make_of_the_norms(files, tmp_path):
    page = tmp_path / "norms.html"
    text = run("inspect", files / "model.keras", "--data", files / "by_name.npz", "--html", page).stdout
    assert "On 2 samples in 1 batch" in text
    assert f"Wrote {page}." in text
    shown = page.read_text()
    for norm in ("folds", "stays", "grouped"):
        assert f"<figcaption>{norm}: " in shown
    found = json.loads(run("inspect", files / "model.keras", "--data", files / "by_name.npz", "--json").stdout)
    by_name = {norm["norm"]: norm for norm in found["statistics"]["norms"]}
    assert by_name["stays"]["clipping"]["r_max"] == 1.0
    assert by_name["grouped"]["mean_off"] is None
    in_python = keras_norms.norm_statistics(
        keras.models.load_model(files / "model.keras"), np.load(files / "by_name.npz")["image"]
    )
    assert by_name["folds"]["mean_off"] == pytest.approx(in_python.norms[0].mean_off, rel=1e-5)


def test_inspect_reads_h5(files):
    assert "1 of 3 norms would fold." in run("inspect", files / "model.h5").stdout


def test_fold_writes_a_model_that_computes_the_same(files, tmp_path):
    text = run("fold", files / "model.keras", tmp_path / "folded.keras").stdout
    parameters = [
        keras.models.load_model(path).count_params() for path in (files / "model.keras", tmp_path / "folded.keras")
    ]
    assert f"1 of 2 batch norms folded; {parameters[0]} -> {parameters[1]} parameters; " in text
    images = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype("float32")
    models = [keras.models.load_model(path) for path in (files / "model.keras", tmp_path / "folded.keras")]
    np.testing.assert_allclose(models[0](images), models[1](images), rtol=1e-4, atol=1e-5)
    assert len(models[1].layers) == len(models[0].layers) - 1


def test_gamma_and_beta_of_a_norm_that_stays_are_told_of(tmp_path):
    layers = [keras_norms.GroupNormalization(2, name="stays"), keras.layers.Conv2D(4, 3, name="takes")]
    keras.Sequential([keras.Input((8, 8, 4)), *layers]).save(tmp_path / "model.keras")
    found = json.loads(run("inspect", tmp_path / "model.keras", "--json").stdout)
    assert "only gamma and beta fold, into takes" in found["norms"][0]["reason"]
    text = run("fold", tmp_path / "model.keras", tmp_path / "folded.keras").stdout
    assert re.search(r"Gamma and beta folded\n.*\n +stays +takes", text)


def test_fold_json(files, tmp_path):
    report = json.loads(run("fold", files / "model.keras", tmp_path / "folded.keras", "--json").stdout)
    assert [record["norm"] for record in report["folded"]] == ["folds"]
    assert report["path"] == str(tmp_path / "folded.keras")


@pytest.mark.runtime
def test_export_writes_every_target(exported):
    directory, text = exported
    assert sorted(path.name for path in directory.iterdir()) == ["a.tflite", "b.onnx"]
    assert text.count("batch norms folded") == 1
    assert f"Wrote {directory / 'a.tflite'}" in text
    assert f"Wrote {directory / 'b.onnx'}" in text
    assert "logits" in text


@pytest.mark.runtime
def test_export_json_lists_a_report_a_target(fixed):
    directory, reports = fixed
    outs = [directory / "a.tflite", directory / "b.onnx"]
    assert [report["path"] for report in reports] == [str(out) for out in outs]
    assert all(report["size_bytes"] == out.stat().st_size for report, out in zip(reports, outs, strict=True))
    assert all(report["verification"]["ok"] for report in reports)


@pytest.mark.runtime
def test_export_without_folding_keeps_the_norms(files, fixed, tmp_path):
    folded = fixed[1][0]
    (kept,) = json.loads(run("export", files / "model.keras", tmp_path / "a.tflite", "--json", "--no-fold").stdout)
    assert folded["fold"]["folded"]
    assert kept["fold"] is None


@pytest.mark.runtime
@pytest.mark.parametrize(("options", "size"), [([], "batch"), (["--batch-size", 2], 2)])
def test_export_passes_the_batch_size_on(exported, fixed, options, size):
    import onnx

    directory = fixed[0] if options else exported[0]
    batch = onnx.load(directory / "b.onnx").graph.input[0].type.tensor_type.shape.dim[0]
    assert (batch.dim_value or batch.dim_param) == size


@pytest.mark.runtime
def test_export_passes_the_opset_on(fixed):
    import onnx

    assert onnx.load(fixed[0] / "b.onnx").opset_import[0].version == 17


@pytest.mark.runtime
@pytest.mark.parametrize("inputs", ["by_name.npz", "in_order.npz"])
def test_verify_takes_the_users_inputs(files, exported, verified, inputs):
    options = ["--json", "--inputs", files / inputs]
    with_inputs = json.loads(run("verify", files / "model.keras", exported[0] / "a.tflite", *options).stdout)
    assert verified["ok"]
    assert with_inputs["ok"]
    assert len(with_inputs["checks"]) > len(verified["checks"])


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_export_and_fold_take_the_users_inputs(files, tmp_path, suffix):
    options = ["--json", "--inputs", files / "by_name.npz"]
    (report,) = json.loads(run("export", files / "model.keras", tmp_path / f"a{suffix}", *options).stdout)
    assert "given" in [tried["case"] for tried in report["verification"]["inputs"]]
    folded = json.loads(run("fold", files / "model.keras", tmp_path / "a.keras", *options).stdout)
    assert folded["folded"]


@pytest.mark.runtime
def test_verify_says_no_to_another_models_artifact(changed, exported):
    text = run("verify", changed / "changed.keras", exported[0] / "b.onnx", code=1).stdout
    assert "does NOT reproduce its model" in text
    assert "'logits' differs" in text
    assert "The first layer that diverges is" in text


def test_formats_and_modes_are_those_of_the_targets():
    """The command keeps a list of its own, to check its options without loading them."""
    modes = {suffix: format_of(Path(f"a{suffix}")).modes for suffix, _ in FORMATS}
    assert modes == arguments.QUANTIZE, "QUANTIZE of export/cli/arguments.py has a row for each format"
    assert set(modes) == set(WRITERS), "WRITERS of export/cli/commands/export_request.py has a row for each format"
    assert set(modes) == set(EXPORTS), "EXPORTS of tests/support/exports.py has a row for each format"
    public = {name for name in keras_norms.export.__all__ if name.startswith("to_")}
    assert {write.__name__ for write in EXPORTS.values()} == public, "export/__init__.py has a function for each format"
    calibrated = tuple(name for name, mode in MODES.items() if mode.calibrated)
    assert calibrated == arguments.NEED_CALIBRATION


@pytest.mark.runtime
@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_export_quantizes(files, tmp_path, suffix):
    out = tmp_path / f"a{suffix}"
    arrays = files / "by_name.npz"
    options = ["--quantize", "int8", "--calibration", arrays, "--json"]
    (report,) = json.loads(run("export", files / "model.keras", out, *options).stdout)
    assert any("quantize" in operation.lower() for operation in report["ops"])
    verified = json.loads(run("verify", files / "model.keras", out, "--inputs", arrays, "--json").stdout)
    assert verified["outputs"]["logits"]["sqnr_db"] > 10


def test_version():
    from importlib.metadata import version

    first, *others = run("--version").stdout.splitlines()
    assert first == f"keras-norms {version('keras-norms')}"
    assert f"  onnxruntime {version('onnxruntime')}" in others
    assert f"  ai-edge-litert {version('ai-edge-litert')}" in others


@pytest.mark.runtime
def test_help_is_light():
    code = "import sys; from keras_norms_cli.commands import cli; print([m for m in sys.modules if m in %r])"
    heavy = ("keras", "keras_norms", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "sklearn", "matplotlib")
    out = subprocess.run([sys.executable, "-c", code % (heavy,)], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.parametrize("command", ["demo", "inspect", "fold", "export", "verify", "check", "lint", "doctor"])
def test_each_command_has_help(command):
    assert "--traceback" in run(command, "--help").stdout


@pytest.mark.runtime
def test_as_a_process_it_prints_its_own_words_only(files, tmp_path):
    """The libraries' chatter, native and Python's, does not reach the terminal."""
    outs = [tmp_path / "a.tflite", tmp_path / "b.onnx"]
    command = [sys.executable, "-m", "keras_norms_cli", "export", files / "model.keras", *outs]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KERAS_"))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith("1 of 2 batch norms folded; ")
