"""Files that cannot be loaded: the refusal says the true reason, nothing is read outside the file, nothing is run."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading.refusals import explain
from refused_files import saved, zipped

tk = pytest.importorskip("tf_keras")
func_dump = pytest.importorskip("tf_keras.src.utils.generic_utils").func_dump
L = tk.layers
pytestmark = pytest.mark.filterwarnings("ignore")


@tk.utils.register_keras_serializable(package="Mine")
class Own(L.Layer):
    """A layer of the user's own, in Keras 2."""

    def call(self, inputs):
        return inputs * 2.0


class OwnInKeras3(keras.layers.Layer):
    """The same in Keras 3."""

    def call(self, inputs):
        return inputs * 2.0


def edited(path, edit, class_name=None):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config["config"]["layers"][1]["config"])
        if class_name:
            config["config"]["layers"][1]["class_name"] = class_name
        file.attrs["model_config"] = json.dumps(config).encode()
    return path


class Subclassed(tk.Model):
    """A model whose layers Python code calls."""

    def __init__(self):
        super().__init__()
        self.dense = L.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def subclassed(folder):
    model = Subclassed()
    model(np.ones((1, 5), "float32"))
    model.save(folder / "saved", save_format="tf")
    return folder / "saved"


def weights(folder):
    tk.Sequential([tk.Input((5,)), L.Dense(2)]).save_weights(folder / "w.h5")
    return folder / "w.h5"


def text(path, content):
    path.write_text(content)
    return path


def no_graph(folder):
    (folder / "saved_model.pb").write_bytes(b"\x08\x01")
    return folder


def of_tensorflow_1(folder):
    (folder / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    return folder


def without_shape(path):
    tk.Sequential([tk.Input((5,)), L.Dense(2)]).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"] = config["config"]["layers"][1:]
        config["config"]["layers"][0]["config"].pop("batch_input_shape", None)
        config["config"].pop("build_input_shape", None)
        file.attrs["model_config"] = json.dumps(config).encode()
    return path


def deep(folder):
    start, end = '{"class_name": "Sequential", "config": {"name": "s", "layers": [', "]}}"
    return zipped(folder, start * 10_000 + end * 10_000)


def unadapted():
    layer = L.Discretization(num_bins=3)
    layer.build((None, 5))
    return layer


def bomb(folder):
    return zipped(folder, " " * 300_000_000)


REFUSED = {
    "class of the user's": (
        lambda f: saved(Own(name="own"), f / "m.h5"),
        r"it uses 'Mine>Own', which is not registered, for layer 'own'",
    ),
    "class of the user's, .keras": (lambda f: saved(Own(), f / "m.keras"), "it uses 'Mine>Own'"),
    "activation of the user's": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(activation="my_own")),
        "it uses the activation 'my_own', which is not registered",
    ),
    "activation that was a lambda": (  # as in DeepLC 2.2
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(activation="<lambda>")),
        "it uses the activation '<lambda>', which is not registered",
    ),
    "dropout in inference": (  # as in ethnicolr 0.8
        lambda f: saved(lambda x: L.Dropout(0.5)(x, training=True), f / "m.h5"),
        "layer 'dropout.*' is called with training=True: it drops out",
    ),
    "bins of no data": (
        lambda f: saved(unadapted(), f / "m.h5"),
        r"layer 'discretization.*' was saved before adapt\(\) told it where to cut its bins",
    ),
    "layer that is gone": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: None, class_name="MaxoutDense"),
        "'dense.*' is a MaxoutDense, which Keras 3 has no more",
    ),
    "axes of which nobody knows the order": (
        lambda f: edited(saved(L.LayerNormalization(), f / "m.h5", (5, 3)), lambda c: c.update(axis=[2, -2])),
        r"'layer_normalization.*' normalizes over axis=\[2, -2\], some counted from the front and some from the end",
    ),
    "weights alone": (weights, "it holds weights without a model"),
    "SavedModel without a graph": (no_graph, "its saved_model.pb holds no graph"),
    "SavedModel of an empty graph": (of_tensorflow_1, "it has no signature|TensorFlow does not load it"),
    "subclassed SavedModel": (
        subclassed,
        "subclassed model, 'Subclassed': Python code calls .*--signature on the command",
    ),
    "architecture": (lambda f: text(f / "m.json", "{}"), "holds an architecture without weights"),
    "architecture, yaml": (lambda f: text(f / "m.yaml", "a: b"), "holds an architecture without weights"),
    "vocabulary elsewhere": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(vocabulary="/etc/hosts")),
        "keeps its vocabulary in another file, '/etc/hosts', which is not read",
    ),
    "unknown argument": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(spam=3)),
        r"spam",
    ),
    "function of TensorFlow": (
        lambda f: saved(lambda x: tk.backend.cast(x, "float64"), f / "m.h5"),
        r"calls tf.cast, for which there is no translation",
    ),
    "no input shape": (
        lambda f: without_shape(f / "m.h5"),
        "it states no input shape for 'sequential.*': begin it with an Input",
    ),
    "Keras 1": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(output_dim=2)),
        "layer 'dense.*', a Dense, has the argument 'output_dim' of Keras 1, for which there is no translation here",
    ),
    "layers 10,000 deep": (deep, "nested too deeply|no model"),
    "config of 300 MB": (bomb, "its config.json unpacks to more than any config has"),
    "layers of 10^18 units": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: c.update(units=10**18)),
        "Cannot load",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_says_the_true_reason(case, tmp_path):
    make, reason = REFUSED[case]
    path = make(tmp_path)
    with pytest.raises(ExportError, match=reason) as caught:
        load(path, prove=False)
    assert "damaged" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_classes_of_the_user_are_taken_by_their_names(tmp_path):
    path = saved(Own(), tmp_path / "m.h5")
    model = load(path, custom_objects={"Own": OwnInKeras3}, prove=False).model
    np.testing.assert_array_equal(model(np.ones((1, 5), "float32")), np.full((1, 5), 2.0))


class Reversed(keras.layers.LSTM):
    """As the tagger of rnnmorph 0.4 has it."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        return super().call(keras.ops.flip(sequences, 1), initial_state, mask, training)


class ReversedInKeras2(L.LSTM):
    """The same in Keras 2."""

    def call(self, inputs, **kwargs):
        return super().call(inputs[:, ::-1], **kwargs)


def test_a_class_that_extends_a_stock_layer_gets_no_argument_that_the_layer_has_lost(tmp_path):
    x = tk.Input((5, 3))
    old = tk.Model(x, ReversedInKeras2(2, recurrent_activation="hard_sigmoid", name="rev")(x))
    old.save(tmp_path / "m.h5")
    given = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    model = load(tmp_path / "m.h5", custom_objects={"ReversedInKeras2": Reversed}, prove=False).model
    np.testing.assert_allclose(model(given), old(given), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["my_own", "<lambda>"])
def test_functions_of_the_user_are_taken_by_their_names(name, tmp_path):
    path = edited(saved(L.Dense(2), tmp_path / "m.h5"), lambda config: config.update(activation=name))
    model = load(path, custom_objects={name: lambda x: x * 0 + 3.0}, prove=False).model
    np.testing.assert_array_equal(model(np.ones((1, 5), "float32")), np.full((1, 2), 3.0))


def test_the_reason_is_the_last_word():
    error = TypeError(
        "<class 'Model'> could not be deserialized properly.\n\nconfig={...}.\n\nException encountered: Error when "
        "deserializing class 'Dense' using config={...}.\n\nException encountered: a name must not contain '/'"
    )
    assert explain(error) == "a name must not contain '/' (TypeError)."
    layers = ValueError(
        "A total of 1 objects could not be loaded. Example error message for object <Dense name=d, built=True>:\n\n"
        "Layer 'd' expected 2 variables, but received 1 variables during loading.\n\nList of objects: [...]"
    )
    assert explain(layers) == "Layer 'd' expected 2 variables, but received 1 variables during loading."
    calling = AttributeError(
        "Exception encountered when calling Concatenate.call().\n\n\x1b[1m'list' object has no attribute 'shape'\x1b[0m"
        "\n\nArguments received by Concatenate.call():\n  • args=(['<KerasTensor>'],)"
    )
    assert explain(calling) == "'list' object has no attribute 'shape' (AttributeError)."
    said = "Exception encountered when calling A.call().\n\n\x1b[1m\x1b[0m\n\nArguments received"
    assert explain(NotImplementedError(said)) == "Exception encountered when calling A.call() (NotImplementedError)."
    assert "damaged" in explain(OSError("Unable to synchronously open file (truncated file: eof = 100)"))
    assert "nested too deeply" in explain(RecursionError("maximum recursion depth exceeded"))
