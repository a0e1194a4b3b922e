"""Files that cannot be loaded: the refusal says the true reason, nothing is read outside the file, nothing is run."""

import json
import zipfile
from contextlib import suppress

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from keras_norms.export.loading.config_tree import decode
from keras_norms.export.loading.refusals import explain
from keras_norms.export.loading.tf_keras_safety import what_runs_code

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


def saved(layer, path, shape=(5,)):
    x = tk.Input(shape)
    tk.Model(x, layer(x)).save(path)
    return path


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


def bomb(folder):
    return zipped(folder, " " * 300_000_000)


def zipped(folder, config):
    with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        archive.writestr("config.json", config)
    return folder / "m.keras"


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
    "layer that is gone": (
        lambda f: edited(saved(L.Dense(2), f / "m.h5"), lambda c: None, class_name="MaxoutDense"),
        "'dense.*' is a MaxoutDense, which Keras 3 has no more",
    ),
    "locally connected, channels first": (
        lambda f: saved(L.LocallyConnected1D(2, 2, data_format="channels_first"), f / "m.h5", (5, 3)),
        "is a LocallyConnected1D with data_format='channels_first', for which there is no translation",
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


def linked(path, target):
    """The file with a weight that is kept in another file."""
    with h5py.File(target, "w") as file:
        file["kernel"] = np.zeros((5, 2), "float32")
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        name = next(name for name in group.attrs["weight_names"] if b"kernel" in np.bytes_(name))
        name = name.decode() if isinstance(name, bytes) else name
        del group[name]
        group[name] = h5py.ExternalLink(str(target), "kernel")
    return path


def test_links_out_of_the_file_are_not_followed(tmp_path):
    path = saved(L.Dense(2, name="dense"), tmp_path / "m.h5")
    with pytest.raises(ExportError, match=r"it has no '.*kernel:0' of its own"):
        load(linked(path, tmp_path / "other.h5"), prove=False)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_truncated_files_are_refused_in_one_line(suffix, tmp_path):
    whole = saved(L.Dense(2), tmp_path / f"m{suffix}").read_bytes()
    path = tmp_path / f"cut{suffix}"
    for part in range(20):
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(ExportError) as caught:
            load(path, prove=False)
        assert len(str(caught.value).splitlines()) == 1
        assert "damaged" in str(caught.value)


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
    assert "damaged" in explain(OSError("Unable to synchronously open file (truncated file: eof = 100)"))
    assert "nested too deeply" in explain(RecursionError("maximum recursion depth exceeded"))


def arming(target):
    """A config that, where it is deserialized without safe mode, makes a file."""
    run = eval(f"lambda x: (open({str(target)!r}, 'w').close(), x)[1]")
    evil = json.loads(tk.Sequential([L.Lambda(run, input_shape=(3,))]).to_json())
    target.unlink(missing_ok=True)
    for layer in evil["config"]["layers"]:
        if layer["class_name"] == "Lambda":
            layer["config"].update(function=[func_dump(run)[0], None, None], function_type="lambda")
        for key in ("module", "registered_name", "build_config"):
            layer.pop(key, None)
    return {"class_name": evil["class_name"], "config": evil["config"], "__passive_serialization__": True}


def hidden_in_a_tuple(config, evil):
    config["config"]["build_input_shape"] = {"class_name": "__tuple__", "items": [None, 3], "x": evil}
    return json.dumps(config)


def hidden_by_a_later_key(config, evil):
    config["config"]["build_input_shape"] = [None, 3]
    return json.dumps(config).replace(
        '"build_input_shape":', f'"build_input_shape": {json.dumps(evil)}, "build_input_shape":'
    )


def in_the_open(config, evil):
    return json.dumps({**config, "x": evil})


@pytest.mark.runtime
@pytest.mark.parametrize("hide", [hidden_in_a_tuple, hidden_by_a_later_key, in_the_open])
def test_no_code_in_an_architecture_runs(hide, tmp_path):
    model = tk.Sequential([L.Dense(2, input_shape=(3,))])
    model.save_weights(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text(hide(json.loads(model.to_json()), arming(tmp_path / "ran")))
    with suppress(ExportError):
        assert load(tmp_path / "m.json").report.oracle is None
    assert not (tmp_path / "ran").exists()


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = zipped(tmp_path, '{"class_name": "Sequential", "class_name": "Model", "config": {}}')
    with pytest.raises(ExportError, match="has the key 'class_name' twice in one object"):
        load(path, prove=False)


def test_what_stands_beside_the_items_of_a_tuple_is_checked():
    assert decode('{"class_name": "__tuple__", "items": [1]}') == [1]
    hiding = decode('{"class_name": "__tuple__", "items": [1], "x": {"class_name": "Lambda", "config": {}}}')
    assert what_runs_code(hiding) is not None
    assert what_runs_code({"__passive_serialization__": True}) == "a __passive_serialization__"


@pytest.mark.parametrize("kind", ["link", "external"])
def test_weights_of_keras_3_that_are_kept_elsewhere_are_not_read(kind, tmp_path):
    path, other, weights = (tmp_path / name for name in ("m.keras", "other", "w.h5"))
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(files["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        if kind == "link":
            group["0"] = h5py.ExternalLink(str(linked_to(other)), "/0")
        else:
            other.write_bytes(bytes(24))
            group.create_dataset("0", (3, 2), "float32", external=[(str(other), 0, 24)])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "model.weights.h5": weights.read_bytes()}.items():
            archive.writestr(name, data)
    with pytest.raises(
        ExportError, match="is a link, which is not followed|is kept in another file, which is not read"
    ):
        load(path)


def linked_to(path):
    with h5py.File(path, "w") as file:
        file["0"] = np.zeros((3, 2), "float32")
    return path


def test_a_zip_file_of_a_saved_model_with_a_bad_byte_is_refused_in_one_line(tmp_path):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("saved_model.pb", np.random.default_rng(0).integers(0, 9, 5000).tobytes())
    data = bytearray(path.read_bytes())
    data[200:400] = b"\xff" * 200
    path.write_bytes(data)
    with pytest.raises(ExportError, match="Cannot load .*The file is damaged or truncated"):
        load(path)
