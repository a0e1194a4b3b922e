"""The command on bad input: the exit code, one line that helps, and nothing left behind."""

import errno
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_norms_cli.commands import cli


@pytest.fixture(scope="module")
def files(model_files, exported, tmp_path_factory):
    """A copy of the shared files: whatever a command would leave here counts against it."""
    directory = tmp_path_factory.mktemp("bad") / "files"
    shutil.copytree(model_files, directory)
    (directory / "foreign.tflite").write_text("no artifact")
    (directory / "foreign.onnx").write_text("no artifact")
    shutil.copy(exported[0] / "a.tflite", directory / "good.tflite")
    return directory


WRONG_USAGE = [
    ("frobnicate", "No such command 'frobnicate'"),
    ("inspect", "Missing argument 'MODEL'"),
    ("inspect model.keras --frobnicate", "No such option '--frobnicate'"),
    ("inspect model.keras --html a.html", "--html goes with --data FILE.npz only"),
    ("inspect model.keras --batch-size 4", "--batch-size goes with --data FILE.npz only"),
    ("inspect model.keras --data by_name.npz --batch-size 0", "0 is not in the range x>=1"),
    ("inspect model.keras --data by_name.npz --html model.keras", "is MODEL itself"),
    ("fold model.keras out.h5", "'out.h5' must end in .keras"),
    ("fold model.keras ./model.keras", "is MODEL itself. Give every target a path of its own"),
    ("export model.keras", "Missing argument 'OUT"),
    ("export model.keras out.pb", "'out.pb' names no format: its suffix must be one of .tflite, .onnx"),
    ("export model.keras out", "'out' names no format"),
    ("export model.keras a.onnx b.pb", "'b.pb' names no format"),
    ("export model.keras a.onnx ./a.onnx", "stands there twice"),
    ("export model.keras a.tflite --batch-size 0", "0 is not in the range x>=1"),
    ("export model.keras a.tflite --batch-size two", "'two' is not a valid integer"),
    ("export model.keras a.tflite --tolerance 0", "--tolerance"),
    ("export model.keras a.tflite --tolerance 1", "--tolerance"),
    ("export model.keras a.tflite --opset 17", "--opset is for .onnx, and no OUT ends in .onnx"),
    (
        "export model.keras a.tflite --quantize int4",
        "'int4' is not one of 'auto', 'dynamic', 'float16', 'int16x8', 'int8'",
    ),
    ("export model.keras a.tflite a.onnx --quantize int16x8", "--quantize int16x8 does not exist for .onnx ('a.onnx')"),
    ("export model.keras a.tflite --quantize int8", "--quantize int8 needs --calibration FILE.npz"),
    (
        "export model.keras a.tflite --calibration by_name.npz",
        "--calibration goes with --quantize auto, dynamic, float16, int16x8, int8 only",
    ),
    ("verify model.keras", "Missing argument 'ARTIFACT'"),
    ("verify model.keras model.h5", "'model.h5' names no format"),
]

REFUSED = [
    ("inspect missing.keras", "no model file 'missing.keras'"),
    ("inspect truncated.keras", "'truncated.keras' is truncated or damaged"),
    ("inspect empty.keras", "'empty.keras' is truncated or damaged"),
    ("inspect foreign.keras", "neither a Keras zip nor an HDF5 file"),
    ("inspect directory.keras", "is a directory"),
    ("inspect model.keras --data missing.npz", "no file 'missing.npz'"),
    ("inspect model.keras --data foreign.npz", "'foreign.npz'"),
    ("inspect model.keras --data wrong_shape.npz", "image"),
    ("inspect model.keras --data by_name.npz --html nowhere/a.html", "The directory 'nowhere' does not exist"),
    ("inspect lambda.keras", "not run from an untrusted file"),
    ("inspect model.weights.h5", "holds weights without a model"),
    ("fold truncated.keras out.keras", "'truncated.keras' is truncated or damaged"),
    ("fold model.keras nowhere/out.keras", "The directory 'nowhere' does not exist"),
    ("fold model.keras directory.keras", "'directory.keras' is a directory"),
    ("export missing.keras out.tflite", "no model file 'missing.keras'"),
    ("export truncated.keras out.tflite", "'truncated.keras' is truncated or damaged"),
    ("export lambda.keras out.onnx", "not run from an untrusted file"),
    ("export model.keras nowhere/out.onnx", "The directory 'nowhere' does not exist"),
    ("export model.keras good2.tflite nowhere/out.onnx", "The directory 'nowhere' does not exist"),
    ("export model.keras out.onnx --opset 3", "opset must be an integer from 13"),
    ("export model.keras a.tflite --quantize int8 --calibration wrong_shape.npz", "[2, 4, 8, 3]"),
    ("export model.keras a.onnx --quantize int8 --calibration pickled.npz", "holds pickled objects"),
    ("export model.keras a.onnx --quantize int8 --calibration missing.npz", "There is no file 'missing.npz'"),
    ("export model.keras a.onnx --inputs missing.npz", "There is no file 'missing.npz'"),
    ("export model.keras a.onnx --inputs wrong_shape.npz", "[2, 4, 8, 3]"),
    ("fold model.keras out.keras --inputs wrong_name.npz", "it holds 'pict"),
    ("fold model.keras out.keras --inputs missing.npz", "There is no file 'missing.npz'"),
    ("verify model.keras missing.onnx", "no artifact 'missing.onnx'"),
    ("verify model.keras foreign.tflite", "no TFLite file that LiteRT can run"),
    ("verify model.keras foreign.onnx", "no ONNX file that ONNX Runtime can run"),
    ("verify model.keras good.tflite --inputs missing.npz", "There is no file 'missing.npz'"),
    ("verify model.keras good.tflite --inputs foreign.npz", "is damaged, or no .npz file"),
    ("verify model.keras good.tflite --inputs bare.npz", "holds one bare array"),
    ("verify model.keras good.tflite --inputs pickled.npz", "holds pickled objects"),
    (
        "verify model.keras good.tflite --inputs wrong_name.npz",
        "'image' (or as many unnamed ones, in order); it holds 'pict",
    ),
    ("verify model.keras good.tflite --inputs wrong_shape.npz", "[2, 4, 8, 3]"),
    ("demo --out model.keras", "Choose another with --out"),
]


def invoke(files, monkeypatch, line):
    monkeypatch.chdir(files)
    return CliRunner().invoke(cli, line.split())


@pytest.mark.runtime
@pytest.mark.parametrize(("line", "text"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_wrong_usage_ends_with_2(files, monkeypatch, line, text):
    before = contents(files)
    result = invoke(files, monkeypatch, line)
    assert result.exit_code == 2
    assert text in result.stderr
    assert "--help" in result.stderr
    assert contents(files) == before


@pytest.mark.runtime
@pytest.mark.parametrize(("line", "text"), REFUSED, ids=[line for line, _ in REFUSED])
def test_a_refusal_ends_with_1_and_one_line(files, monkeypatch, line, text):
    before = contents(files)
    result = invoke(files, monkeypatch, line)
    assert result.exit_code == 1
    assert text in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1, "one line"
    assert result.stdout == ""
    assert contents(files) == before


@pytest.mark.runtime
@pytest.mark.parametrize("existing", [None, "precious"])
def test_an_artifact_that_does_not_verify_is_not_written(files, changed, tmp_path, monkeypatch, existing):
    """The converter is made to return the artifact of a model with another bias."""
    from keras_norms.export.formats.tflite.tflite_format import TFLiteFormat

    artifact = (changed / "changed.tflite").read_bytes()
    monkeypatch.setattr(
        TFLiteFormat, "convert", lambda self, conversion, *_: (Path(conversion.path).write_bytes(artifact), ())[1]
    )
    judge = sys.modules["keras_norms.export.pipeline.judge"]
    monkeypatch.setattr(judge, "first_divergence", lambda *_: "logits")  # it would convert once more
    target = tmp_path / "a.tflite"
    if existing:
        target.write_text(existing)
    before = contents(tmp_path)
    result = CliRunner().invoke(cli, ["export", str(files / "model.keras"), str(target)])
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: '{target}' was not written")
    assert "Output 'logits' differs from the model" in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.runtime
def test_an_error_nobody_foresaw_is_one_line_without_traceback_and_whole_with_it(files, tmp_path, monkeypatch):
    import keras

    def broken(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device\nand a second line")

    monkeypatch.setattr(keras.Model, "save", broken)
    line = ["fold", str(files / "model.keras"), str(tmp_path / "out.keras")]
    result = CliRunner().invoke(cli, line)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "No space left on device" in result.stderr
    assert "--traceback shows where it came from" in result.stderr
    assert "Traceback (most recent call last)" in CliRunner().invoke(cli, [*line, "--traceback"]).stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "extra"), [("sklearn", "demo"), ("matplotlib", "demo"), ("ai_edge_litert", "export")]
)
def test_a_missing_package_is_named_with_its_extra(module, extra):
    import click
    from keras_norms_cli.session import session

    with (
        pytest.raises(click.ClickException, match=rf"needs {module}.*pip install 'keras-norms\[{extra}\]'"),
        session(False),
    ):
        raise ModuleNotFoundError(f"No module named {module!r}", name=f"{module}.datasets")


def contents(directory: Path):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}
