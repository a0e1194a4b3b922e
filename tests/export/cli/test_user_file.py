"""`--import FILE.py`: the user's own classes and functions, on the user's word."""

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export.loading.user_file import custom_objects
from keras_norms_cli.commands import cli

CLASSES = """
import keras

class Twice(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0

def halved(x):
    return x * 0.5
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A model with a class and a function of the user's, and the file that defines them."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine.py").write_text(CLASSES)
    own = custom_objects(folder / "mine.py")
    layers = [keras.Input((3,)), keras.layers.Dense(2, activation=own["halved"]), keras.layers.BatchNormalization()]
    keras.Sequential([*layers, own["Twice"]()]).save(folder / "m.keras")
    return folder / "m.keras", folder / "mine.py"


def run(*arguments):
    return CliRunner().invoke(cli, [str(each) for each in arguments])


def test_what_the_file_defines_is_found_by_name(files):
    assert sorted(custom_objects(files[1])) == ["Twice", "halved"]
    assert custom_objects(None) == {}


def test_commands_take_the_file(files, tmp_path):
    model, mine = files
    assert run("inspect", model, "--import", mine).exit_code == 0
    result = run("upgrade", model, tmp_path / "up.keras", "--import", mine)
    assert result.exit_code == 0, result.output
    result = run("fold", model, tmp_path / "folded.keras", "--import", mine)
    assert result.exit_code == 0, result.output
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    want, got = (
        keras.models.load_model(path, custom_objects=custom_objects(mine))(x)
        for path in (model, tmp_path / "folded.keras")
    )
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_without_the_file_the_class_is_named(files):
    result = run("inspect", files[0])
    assert result.exit_code == 1
    assert "it uses the function 'halved', which is not registered" in result.output
    assert "--import FILE.py" in result.output


@pytest.mark.runtime
def test_what_it_serves_is_exported_and_verified(files, tmp_path):
    result = run("export", files[0], tmp_path / "m.onnx", "--import", files[1])
    assert result.exit_code == 0, result.output
    assert run("verify", files[0], tmp_path / "m.onnx", "--import", files[1]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("none.py", None, "--import takes a file of Python"),
        ("mine.txt", "a = 1", "--import takes a file of Python"),
        ("broken.py", "1 / 0", "does not run: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_of_no_use_is_refused(name, text, reason, files, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    result = run("inspect", files[0], "--import", tmp_path / name)
    assert result.exit_code == 1
    assert reason in result.output
