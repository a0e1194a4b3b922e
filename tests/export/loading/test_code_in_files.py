"""Lambda layers: their code runs on the user's word only, in either process, and only where this Python wrote it."""

import base64
import json
import marshal
import zipfile

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def lambdas(library, run=lambda t: t * 2.0):
    """A model whose one Lambda is called "twice"."""
    x = library.Input((4,))
    return library.Model(x, library.layers.Dense(2)(library.layers.Lambda(run, name="twice")(x)))


def written(path, library=tk, **options):
    model = lambdas(library, **options)
    model.save(path)
    return path, np.asarray(model(X))


def with_code(path, change):
    """The .h5 file with its code as another Python has it."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        function = config["config"]["layers"][1]["config"]["function"]
        function[0] = base64.b64encode(change(base64.b64decode(function[0]))).decode()
        file.attrs["model_config"] = json.dumps(config)
    return path


def other_instructions(data):
    code = marshal.loads(data)
    return marshal.dumps(code.replace(co_code=bytes([3, 7]) + code.co_code[2:]))


REFUSED = [(tk, "m.h5"), (tk, "m.keras"), (tk, "saved"), (keras, "m.keras"), (keras, "m.h5")]


@pytest.mark.parametrize(("library", "name"), REFUSED)
def test_code_is_run_on_the_users_word_only(library, name, tmp_path):
    path, want = written(tmp_path / name, library)
    with pytest.raises(ExportError, match=r"not run from an untrusted file. If you trust it, unsafe=True \(--unsafe"):
        load(path, prove=False)
    model, report = load(path, prove=False, unsafe=True)
    np.testing.assert_allclose(model(X), want, rtol=1e-6)
    assert "on your word" in str(report)


@pytest.mark.parametrize(
    "change", [other_instructions, lambda data: data[:-9], lambda data: b"spam"], ids=["instructions", "cut", "spam"]
)
def test_code_of_another_python_is_refused_truly(change, tmp_path):
    path = with_code(written(tmp_path / "m.h5")[0], change)
    with pytest.raises(ExportError, match=r"'twice' is a Lambda: its code is the bytecode of another Python than this"):
        load(path, prove=False, unsafe=True)


def test_code_that_needs_what_is_not_in_the_file_is_refused_as_such(tmp_path):
    factor = 2.0
    path, _ = written(tmp_path / "m.h5", run=lambda t: t * factor)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"]["function"][2] = None
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ExportError, match="'twice' is a Lambda.* uses variables from around it, which are not in the"):
        load(path, prove=False, unsafe=True)


def test_code_of_another_python_in_a_file_of_keras_3_is_refused_too(tmp_path):
    path, _ = written(tmp_path / "m.keras", keras)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    config["config"]["layers"][1]["config"]["function"]["config"]["code"] = base64.b64encode(b"spam").decode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, data)
    with pytest.raises(ExportError, match="it holds a Lambda layer, whose code is the bytecode of another Python"):
        load(path, unsafe=True)


def test_a_function_of_the_user_goes_before_the_code(tmp_path):
    path, want = written(tmp_path / "m.h5")
    model = load(with_code(path, lambda data: b"spam"), custom_objects={"twice": lambda t: t + t}, prove=False).model
    np.testing.assert_allclose(model(X), want, rtol=1e-6)


def test_code_finds_tensorflow_and_its_arguments(tmp_path):
    x = tk.Input((4,))
    made = tk.layers.Lambda(lambda t, k=2.0: tf.square(t) * k + np.float32(1), arguments={"k": 3.0})(x)
    model = tk.Model(x, tk.layers.Lambda(tf.nn.relu)(made))
    model.save(tmp_path / "m.h5")
    np.testing.assert_allclose(load(tmp_path / "m.h5", prove=False, unsafe=True).model(X), model(X), rtol=1e-6)


def test_a_function_that_is_only_named_is_asked_for_by_its_name(tmp_path):
    path, want = written(tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["config"].update(function="double", function_type="function")
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ExportError, match="'twice' is a Lambda of 'double', which is not in the file. Pass it"):
        load(path, prove=False, unsafe=True)
    model = load(path, prove=False, custom_objects={"double": lambda t: t * 2.0}).model
    np.testing.assert_allclose(model(X), want, rtol=1e-6)


@pytest.mark.runtime
def test_the_command_and_tf_keras_run_it_on_that_word_only(tmp_path):
    from keras_norms_cli.commands import cli

    path, want = written(tmp_path / "m.h5")
    ran = tmp_path / "ran"
    evil, _ = written(tmp_path / "evil.h5", run=eval(f"lambda t: (open({str(ran)!r}, 'a').close(), t)[1]"))
    ran.unlink()
    new = tmp_path / "new.keras"
    result = CliRunner().invoke(cli, ["upgrade", str(evil), str(new)])
    assert result.exit_code == 1
    assert "--unsafe" in result.output
    with pytest.raises(ExportError, match="not run from an untrusted file"):
        load(evil)
    load(evil, custom_objects={"twice": lambda t: t})  # tf_keras is not given the code either
    assert not ran.exists()
    result = CliRunner().invoke(cli, ["upgrade", str(path), str(new), "--unsafe", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["oracle"] == f"tf_keras {tk.__version__}"
    np.testing.assert_allclose(load(new, unsafe=True).model(X), want, rtol=1e-6)
    for command in (["inspect", str(path)], ["fold", str(path), str(tmp_path / "folded.keras")]):
        assert CliRunner().invoke(cli, command).exit_code == 1
        result = CliRunner().invoke(cli, [*command, "--unsafe"])
        assert result.exit_code == 0, result.output
