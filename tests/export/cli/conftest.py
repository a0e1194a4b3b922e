"""The model files and artifacts that the tests of the command share: exported once, then only read."""

import keras
import pytest
from cli_models import save_all
from click.testing import CliRunner
from keras_norms_cli.commands import cli


@pytest.fixture(scope="session")
def model_files(tmp_path_factory):
    """Good and bad model files and inputs, the same for all."""
    directory = tmp_path_factory.mktemp("models")
    save_all(directory)
    return directory


@pytest.fixture(scope="session")
def exported(model_files, tmp_path_factory):
    """(directory, what was printed) of one export of the model as `a.tflite` and `b.onnx`."""
    directory = tmp_path_factory.mktemp("exported")
    result = CliRunner().invoke(
        cli, ["export", str(model_files / "model.keras"), str(directory / "a.tflite"), str(directory / "b.onnx")]
    )
    assert result.exit_code == 0, result.output
    return directory, result.stdout


@pytest.fixture(scope="session")
def changed(model_files, tmp_path_factory):
    """The directory of `changed.keras`, a model with another bias, and of its `changed.tflite`."""
    directory = tmp_path_factory.mktemp("changed")
    model = keras.models.load_model(model_files / "model.keras")
    model.get_layer("logits").bias.assign([1.0, 2.0, 3.0, 4.0, 5.0])
    model.save(directory / "changed.keras")
    result = CliRunner().invoke(cli, ["export", str(directory / "changed.keras"), str(directory / "changed.tflite")])
    assert result.exit_code == 0, result.output
    return directory
