"""What shows that a loaded model computes what its writer computed: the guard, and tf_keras in another process."""

import json

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_norms.export import ExportError, load, to_onnx
from keras_norms.export.loading import proof
from keras_norms.export.loading.guard import compare_configs
from keras_norms.export.loading.tf_keras_safety import what_runs_code
from keras_norms.export.loading.translations import TRANSLATIONS
from keras_norms.export.loading.writer import Writer
from old_models import CASES, FLAT, ROWS, assert_same, chain, inputs_of, write

tk = pytest.importorskip("tf_keras")

L = tk.layers


def test_the_guard_names_layer_key_and_both_values():
    """What Keras' own loader of .h5 files does to an axis of several."""
    model = keras.Sequential([keras.Input(ROWS), keras.layers.Softmax(axis=-1, name="soft")])
    stated = {"class_name": "Softmax", "config": {"name": "soft", "axis": [1, 2]}}
    entry = {"class_name": "Sequential", "config": {"name": model.name, "layers": [stated]}}
    with pytest.raises(ExportError, match=r"layer 'soft' says axis=\[1, 2\], and Keras .* made it axis=-1"):
        compare_configs(entry, model)
    stated["config"] = {"name": "soft", "axis": -1, "temperature": 2.0}
    with pytest.raises(ExportError, match=r"layer 'soft' says temperature=2.0, which Keras .* does not know"):
        compare_configs(entry, model)
    stated["config"] = {"name": "soft", "axis": -1, "dtype": "float32"}
    compare_configs(entry, model)


def test_the_guard_looks_into_wrappers():
    inner = keras.layers.LSTM(2, name="inner")
    model = keras.Sequential([keras.Input(ROWS), keras.layers.Bidirectional(inner, name="outer")])
    stated = {"class_name": "LSTM", "config": {"name": "inner", "units": 2, "unroll": True}}
    outer = {"class_name": "Bidirectional", "config": {"name": "outer", "layer": stated}}
    entry = {"class_name": "Sequential", "config": {"name": model.name, "layers": [outer]}}
    with pytest.raises(ExportError, match="layer 'inner' says unroll=True, and Keras .* made it unroll=False"):
        compare_configs(entry, model)


def test_writers_are_named_by_their_versions():
    names = {"1.2.2": "Keras 1.2.2", "2.1.6-tf": "tf.keras 2.1.6-tf", "2.15.0": "Keras 2.15.0"}
    names |= {"2.21.0": "tf_keras 2.21.0", "3.1.0": "Keras 3.1.0", None: "Keras 1 (the file states no version)"}
    assert {version: Writer(version).name for version in names} == names
    assert [Writer(version).major for version in names] == [1, 2, 2, 2, 3, 1]


def test_tf_keras_is_given_nothing_that_runs_code():
    def layer(kind, **config):
        return {"class_name": "Sequential", "config": {"layers": [{"class_name": kind, "config": config}]}}

    assert what_runs_code(layer("Dense", units=2)) is None
    assert what_runs_code(layer("TFOpLambda", function="math.multiply")) is None
    assert what_runs_code(layer("SlicingOpLambda", function="__operators__.getitem")) is None
    assert what_runs_code(layer("TFOpLambda", function="io.write_file")) == "a TFOpLambda"
    assert what_runs_code(layer("TensorFlowOpLayer", node_def={"op": "Mul"})) is None
    assert what_runs_code(layer("TensorFlowOpLayer", node_def={"op": "WriteFile"})) == "a TensorFlowOpLayer"
    assert what_runs_code(layer("TensorFlowOpLayer", node_def="spam")) == "a TensorFlowOpLayer"
    assert what_runs_code(layer("Lambda", function=["4wEA", None, None])) == "a Lambda"
    assert what_runs_code(layer("TextVectorization", vocabulary="/etc/hosts")) == "the path of a vocabulary"
    assert what_runs_code({"module": "os", "class_name": "system", "config": "ls"}) == "the module 'os'"


@pytest.mark.filterwarnings("ignore")
def test_without_tf_keras_the_report_says_that_nothing_proves_it(monkeypatch, tmp_path):
    path = write(chain(L.Dense(2), shape=FLAT), tmp_path / "m.h5")
    monkeypatch.setattr(proof.importlib.util, "find_spec", lambda name: None)
    report = load(path).report
    assert "tf_keras, the code that wrote it, is not installed (pip install 'keras-norms[legacy]')" in report.proof
    assert report.oracle is None
    assert report.error is None


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_tf_keras_proves_what_was_loaded(tmp_path):
    path = write(CASES["LSTM, hard_sigmoid"](), tmp_path / "m.h5")
    report = load(path).report
    assert report.oracle == f"tf_keras {tk.__version__}"
    assert report.error <= 1e-5
    assert report.proof == f"as tf_keras {tk.__version__} computes it, {report.error:.1e}"
    assert json.loads(report.to_json())["oracle"] == report.oracle
    assert "hard_sigmoid" in str(report)


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_tf_keras_cuts_the_bins_that_it_forgets(tmp_path):
    """Its own reader of a .keras leaves an adapted Discretization without bins."""
    report = load(write(CASES["statistics of data"](), tmp_path / "old.keras")).report
    assert report.proof is not None


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_a_difference_from_tf_keras_is_an_error_that_names_the_layer(monkeypatch, tmp_path):
    """The translation of hard_sigmoid left out: Keras 3 then computes another function."""
    model = chain(L.Dense(4, name="first"), L.Dense(3, activation="hard_sigmoid", name="second"), shape=FLAT)
    path = write(model, tmp_path / "m.h5")
    left = tuple(row for row in TRANSLATIONS if row.name != "hard_sigmoid")
    monkeypatch.setattr("keras_norms.export.loading.translations.TRANSLATIONS", left)
    with pytest.raises(ExportError, match=r"computes something else .* of scale, first in layer 'second'"):
        load(path)


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_reports_and_certificates_say_how_the_model_was_loaded(tmp_path):
    old = write(chain(L.Dense(2, activation="hard_sigmoid"), shape=FLAT), tmp_path / "m.h5")
    report = to_onnx(old, tmp_path / "m.onnx", certificate=True)
    said = json.loads((tmp_path / "m.onnx.json").read_text())["model"]["loaded"]
    assert said["oracle"] == report.loaded.oracle == f"tf_keras {tk.__version__}"
    assert said["error"] <= 1e-5
    assert "hard_sigmoid" in {row["translation"] for row in said["translated"]}
    assert str(tmp_path) not in str(said)
    assert f"proof: as tf_keras {tk.__version__} computes it" in str(report)


@tk.utils.register_keras_serializable(package="Mine")
class Own(L.Layer):
    """A class of the user's."""

    def call(self, inputs):
        return inputs * 2.0


MINE = """
import keras

class Own(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2.0
"""


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_reports_and_certificates_of_the_users_classes_say_that_nothing_proves_them(tmp_path):
    from keras_norms_cli.commands import cli

    old, mine = write(chain(Own(), shape=FLAT), tmp_path / "m.h5"), tmp_path / "mine.py"
    mine.write_text(MINE)
    none = "none: tf_keras has no code of 'Own', which the user gave"
    arguments = ["export", old, tmp_path / "m.onnx", "--import", mine, "--certificate"]
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    assert f"proof: {none}" in result.output
    said = json.loads((tmp_path / "m.onnx.json").read_text())["model"]["loaded"]
    assert said["proof"] == none
    assert said["oracle"] is said["error"] is None


@pytest.mark.filterwarnings("ignore")
def test_a_class_of_the_user_with_the_name_of_a_stock_one_is_not_held_to_it(tmp_path):
    class OfTheUser(keras.layers.Dense):
        """Computes something else than the stock one."""

        def call(self, inputs):
            return super().call(inputs) + 1.0

    def doubled(x):
        return x * 2.0

    old = write(chain(L.Dense(2, activation="swish"), shape=FLAT), tmp_path / "m.h5")
    for given, names in (({"Dense": OfTheUser}, "'Dense'"), ({"swish": doubled, "relu": doubled}, "'swish'")):
        report = load(old, custom_objects=given).report
        assert report.proof == f"none: tf_keras has no code of {names}, which the user gave"
        assert report.oracle is None


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_a_registered_class_that_tf_keras_lacks_is_named(tmp_path):
    @keras.saving.register_keras_serializable("Mine", name="Own")
    class InKeras3(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 2.0

    try:
        report = load(write(chain(Own(), shape=FLAT), tmp_path / "m.h5")).report
    finally:
        keras.saving.get_custom_objects().pop("Mine>Own")
    assert (report.proof, report.oracle) == ("none: tf_keras has no code of 'Mine>Own'", None)


@pytest.mark.runtime
@pytest.mark.filterwarnings("ignore")
def test_the_command_writes_a_file_of_keras_3(tmp_path):
    from keras_norms_cli.commands import cli

    model = CASES["Functional over a backbone"]()
    old, new = write(model, tmp_path / "old.h5"), tmp_path / "new.keras"
    result = CliRunner().invoke(cli, ["upgrade", str(old), str(new)])
    assert result.exit_code == 0, result.output
    x = inputs_of(model)
    assert_same(keras.models.load_model(new)(x), model(x))
    assert CliRunner().invoke(cli, ["upgrade", str(old), str(tmp_path / "new.h5")]).exit_code == 2


@pytest.mark.runtime
@pytest.mark.parametrize("sequential", [True, False])
def test_a_layer_with_states_is_proved_with_its_batch_and_keeps_its_first_states(sequential, tmp_path):
    layer = L.LSTM(3, stateful=True, batch_input_shape=(2, 4, 6))
    if sequential:
        old = tk.Sequential([layer])
    else:
        x = tk.Input(batch_shape=(2, 4, 6))
        old = tk.Model(x, layer(x))
    path = write(old, tmp_path / "m.h5")
    model, report = load(path)
    assert report.oracle == f"tf_keras {tk.__version__}"
    assert all(not np.asarray(state).any() for layer in model.layers for state in getattr(layer, "states", []))


@pytest.mark.runtime
def test_a_proof_says_that_tf_keras_is_another_version(tmp_path):
    path = write(tk.Sequential([tk.Input((3,)), L.Dense(2)]), tmp_path / "m.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.2.4"
    assert load(path).report.proof.endswith(
        "; Keras 2.2.4 wrote it, and what only that version did tf_keras does not show"
    )
