"""The README and the pages it began as: code runs as printed, outputs and tables are true, commands exist."""

import contextlib
import inspect
import io
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_norms.export import fold, to_onnx, to_tflite
from keras_norms_cli.commands import cli

import keras_norms

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND, LIMITS = ((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("command", "limits"))


def block(language, index=0, text=TEXT):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[index]


def without_figures(text):
    """Errors differ from one random network to the next, in the last digits and in the last columns."""
    return re.sub(r"\d\.\de-\d\d", "#", text)


@pytest.mark.runtime
def test_the_first_code_prints_what_the_readme_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.backend.clear_session()  # names as in a fresh process
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block("python"), "README.md", "exec"), {})
    assert without_figures(out.getvalue()) == without_figures(block("text"))
    assert all(float(error) < 1e-4 for error in re.findall(r"\d\.\de-\d\d", out.getvalue()))
    assert (tmp_path / "model.tflite").is_file()
    assert (tmp_path / "model.onnx").is_file()


def test_the_first_screen_is_short():
    assert 10 <= len(block("python").splitlines()) <= 16
    assert len(TEXT[: TEXT.index("## ")].splitlines()) <= 60
    assert len(TEXT.splitlines()) <= 110, "a screen and a half"


ROWS = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| `.*", LIMITS, re.MULTILINE)]


def test_the_table_has_every_public_layer():
    named = {row[0] for row in ROWS}
    layers = [name for name in keras_norms.__all__ if isinstance(getattr(keras_norms, name), type)]
    assert {f"keras_norms.{name}" for name in layers if name.endswith("ization")} <= named


@pytest.mark.runtime
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_cell_of_the_table(row, tmp_path):
    name, *cells = row
    if "renorm=" in name and "renorm" not in inspect.signature(keras.layers.BatchNormalization).parameters:
        pytest.skip(f"Keras {keras.__version__} does not have renorm")
    assert cells == [
        _train(model := _model(name)),
        _save(model, tmp_path),
        _fold(model),
        _export(to_tflite, model, tmp_path / "a.tflite"),
        _export(to_onnx, model, tmp_path / "a.onnx"),
    ]


def _model(name):
    call = name if name.endswith(")") else f"{name}({'groups=4' if 'Group' in name else ''})"
    conv = keras.layers.Conv2D(8, 3)
    if name.endswith("WeightStandardization"):  # which wraps the layer
        conv, norm = keras_norms.WeightStandardization(conv), keras.layers.Identity()
    else:
        norm = eval(call, {"keras": keras, "keras_norms": keras_norms})
    layers = [keras.Input((8, 8, 3)), conv, norm, keras.layers.ReLU(), keras.layers.Flatten()]
    return keras.Sequential([*layers, keras.layers.Dense(2)])


def _train(model):
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=(64, 8, 8, 3)).astype("float32")
    targets = images.mean(axis=(1, 2))[:, :2]
    model.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)  # XLA takes longer than the training
    model.optimizer.build(model.trainable_variables)  # if the first step made its variables, it would be traced twice
    losses = model.fit(images, targets, batch_size=16, epochs=6, verbose=0).history["loss"]
    return "yes" if losses[-1] < 0.5 * losses[0] else "no"


def _save(model, directory):
    model.save(directory / "model.keras")
    loaded = keras.models.load_model(directory / "model.keras")
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    same = np.array_equal(model(images, training=False), loaded(images, training=False))
    return "yes" if same else "no"


def _fold(model):
    folded, report = fold(model)
    unwrapped = [note for note in report.notes if "became a plain" in note]
    assert not unwrapped or type(folded.layers[0]) is keras.layers.Conv2D
    return "merges" if (report.folded or unwrapped) and not report.kept else "stays"


def _export(export, model, path):
    report = export(model, path)
    return "yes" if report.verification.ok and path.is_file() else "no"


@pytest.mark.parametrize(
    "line", [line for line in block("sh", 0, COMMAND).splitlines() if line.startswith("keras-norms")]
)
def test_the_commands_shown_are_taken(line):
    _, name, *arguments = shlex.split(line, comments=True)
    cli.get_command(None, name).make_context(name, arguments)


def test_the_setup_commands_name_what_is_there():
    for line in block("sh", 1).splitlines():
        extra = re.search(r"'\.\[(\w+)\]'", line)[1]
        assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
        assert (ROOT / re.search(r"-c (\S+)", line)[1]).is_file()


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        assert target.startswith("https://arxiv.org/") or (ROOT / path).exists(), target
        assert not anchor or anchor in anchors((ROOT / path).read_text(encoding="utf-8")), target


def anchors(text):
    """What a code host calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
