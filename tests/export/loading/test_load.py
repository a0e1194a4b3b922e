"""Files that tf_keras, the code of Keras 2, wrote: each computes in Keras 3 what its writer computes."""

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

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
L = tk.layers
IMAGE, ROWS, FLAT, VIDEO = (8, 8, 4), (6, 4), (5,), (3, 6, 6, 2)


def chain(*layers, shape=IMAGE):
    x = y = tk.Input(shape)
    for layer in layers:
        y = layer(y)
    return tk.Model(x, y)


def base(name="base"):
    return tk.Model(x := tk.Input(IMAGE), L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3)(x))), name=name)


def version_1(**options):
    from tf_keras.src.layers.normalization.batch_normalization_v1 import BatchNormalization

    return BatchNormalization(**options)


def frozen_in_part():
    net = base()
    net.layers[1].trainable = False
    return chain(net, L.GlobalAveragePooling2D(), L.Dense(2))


def shared_model():
    a, b, net = tk.Input(IMAGE), tk.Input(IMAGE), base()
    return tk.Model([a, b], L.Concatenate()([net(a), net(b), L.Subtract()([net(a), net(b)])]))


def states():
    a, b = tk.Input(ROWS), tk.Input(ROWS)
    _, h, c = L.LSTM(3, return_state=True)(a)
    return tk.Model([a, b], L.LSTM(3)(b, initial_state=[h, c]))


def attention():
    a, b = tk.Input(ROWS), tk.Input(ROWS)
    made = [L.MultiHeadAttention(2, 3)(a, value=b), L.Attention(use_scale=True)([a, b]), L.AdditiveAttention()([a, b])]
    return tk.Model([a, b], made)


def tf_functions():
    a, c = tk.Input(FLAT), tk.Input(ROWS)
    made = [1 - a[:, 1:3], tf.concat([a, a], 1), tf.nn.relu(c[:, -1]), tf.reshape(a, (-1, 1, 5)), a * a, a / 3]
    made += [tf.reduce_mean(c, axis=1, keepdims=True), tf.nn.softmax(a), tf.transpose(c, [0, 2, 1]), -a, a**2]
    return tk.Model([a, c], [*made, tf.stack([a, a], axis=1), tf.expand_dims(a, 1), tf.maximum(a, 0.5)])


def residual():
    x = tk.Input(IMAGE)
    y = L.BatchNormalization(name="block/bn")(L.Conv2D(4, 3, padding="same", name="block/conv")(x))
    return tk.Model(x, L.add([y, x], name="block/out"))


class Odd(tk.initializers.Initializer):
    """An initializer of the user's own."""

    def __call__(self, shape, dtype=None, **kwargs):
        return tf.ones(shape, dtype or "float32")


def of_applications():
    from tf_keras.src.applications.convnext import LayerScale
    from tf_keras.src.applications.inception_resnet_v2 import CustomScaleLayer

    x = tk.Input(IMAGE)
    return tk.Model(x, CustomScaleLayer(0.3)([x, LayerScale(0.1, 4, name="scale")(x)]))


def shared_across_models():
    """A layer of two models, which a .keras file writes once."""
    x, dense = tk.Input(FLAT), L.Dense(5)
    first = tk.Model(a := tk.Input(FLAT), L.Dense(5)(dense(a)))
    second = tk.Model(b := tk.Input(FLAT), L.Dense(5)(dense(L.Dense(5)(b))))
    return tk.Model(x, L.Dense(5)(dense(second(first(x)))))


CASES = {
    "layers of applications": of_applications,
    "convolutions": lambda: chain(
        L.Conv2D(4, 3), L.DepthwiseConv2D(3), L.SeparableConv2D(4, 2), L.Conv2DTranspose(3, 2)
    ),
    "dense": lambda: chain(L.Dense(3, activation="swish"), L.Dense(3, activation=L.LeakyReLU(0.2)), shape=FLAT),
    "initializer of its own": lambda: chain(L.Dense(3, kernel_initializer=Odd()), shape=FLAT),
    "locally connected": lambda: chain(
        L.LocallyConnected2D(3, (3, 2), strides=(1, 2), activation="tanh"), L.LocallyConnected2D(2, 2, use_bias=False)
    ),
    "locally connected rows": lambda: chain(L.LocallyConnected1D(3, 2, strides=2), shape=ROWS),
    "locally connected, other kernels": lambda: chain(
        L.LocallyConnected2D(3, (3, 2), strides=(1, 2), implementation=2, padding="same"),
        L.LocallyConnected2D(2, 2, implementation=3, use_bias=False),
        L.LocallyConnected2D(2, (2, 4), strides=(2, 1), implementation=3, padding="same"),
        L.Reshape((-1, 2)),
        L.LocallyConnected1D(3, 4, strides=3, implementation=2),
        L.LocallyConnected1D(3, 3, implementation=3, padding="same"),
    ),
    "embedding": lambda: tk.Sequential([L.Embedding(7, 3, input_length=5), L.Flatten(), L.Dense(2)]),
    "LSTM": lambda: chain(L.LSTM(3), shape=ROWS),
    "LSTM, hard_sigmoid": lambda: chain(L.LSTM(3, recurrent_activation="hard_sigmoid"), shape=ROWS),
    "GRU before reset_after": lambda: chain(L.GRU(3, reset_after=False, use_bias=False), shape=ROWS),
    "ConvLSTM2D": lambda: chain(L.ConvLSTM2D(2, 2), shape=VIDEO),
    "Bidirectional": lambda: chain(L.Bidirectional(L.GRU(3, recurrent_activation="hard_sigmoid")), shape=ROWS),
    "cells": lambda: chain(L.RNN([L.GRUCell(2), L.LSTMCell(2)]), shape=ROWS),
    "initial states": states,
    "hard_sigmoid": lambda: chain(L.Conv2D(3, 2, activation="hard_sigmoid"), L.Activation("hard_sigmoid")),
    "batch norm": lambda: chain(L.BatchNormalization(), L.BatchNormalization(axis=1, scale=False)),
    "batch norm over two axes": lambda: chain(L.BatchNormalization(axis=[1, 3], epsilon=0.01)),
    "batch norm over all axes": lambda: chain(L.BatchNormalization(axis=[1, 2, 3])),
    "synchronized batch norm": lambda: chain(L.experimental.SyncBatchNormalization()),
    "virtual batches": lambda: chain(version_1(virtual_batch_size=2)),
    "renorm": lambda: chain(version_1(renorm=True)),
    "layer norms": lambda: chain(L.LayerNormalization(), L.LayerNormalization(axis=[1, 2], center=False, scale=False)),
    "axes without weights": lambda: chain(L.Softmax(axis=[1, 2]), L.UnitNormalization(axis=[1, 2]), shape=ROWS),
    "group norm": lambda: chain(L.GroupNormalization(groups=2)),
    "activations": lambda: chain(L.ThresholdedReLU(0.4), L.LeakyReLU(0.1), L.PReLU(), L.ELU(0.7), shape=FLAT),
    "random layers": lambda: chain(L.RandomFlip(), L.RandomRotation(0.1), L.SpatialDropout2D(0.2), L.Rescaling(0.5, 1)),
    "pooling": lambda: chain(L.MaxPooling2D(), L.UpSampling2D(), L.GlobalAveragePooling2D()),
    "time distributed": lambda: chain(L.TimeDistributed(L.Conv2D(3, 2)), L.TimeDistributed(L.Flatten()), shape=VIDEO),
    "time distributed model": lambda: chain(L.TimeDistributed(base()), shape=(2, *IMAGE)),
    "Sequential": lambda: tk.Sequential([L.Conv2D(3, 2, input_shape=IMAGE), L.BatchNormalization(), L.Flatten()]),
    "Sequential of a backbone": lambda: tk.Sequential([base(), L.GlobalAveragePooling2D(), L.Dense(2)]),
    "Functional over a backbone": lambda: chain(base(), L.GlobalAveragePooling2D(), L.Dense(2)),
    "backbone as the last": lambda: chain(L.Conv2D(4, 1), base()),
    "three models deep": lambda: chain(
        tk.Sequential([tk.Input(IMAGE), tk.Sequential([base(), L.Flatten()])]), L.Dense(2)
    ),
    "partly frozen": frozen_in_part,
    "shared model": shared_model,
    "attention": attention,
    "functions of TensorFlow": tf_functions,
    "'/' in names": residual,
    "dict of outputs": lambda: tk.Model(x := tk.Input(FLAT), {"p": L.Dense(2)(x), "q": L.Dense(3)(x)}),
    "mixed precision": lambda: chain(L.Conv2D(4, 3, dtype=tk.mixed_precision.Policy("mixed_float16")), L.Flatten()),
}
reported: dict[tuple[str, str], set[str]] = {}  # (case, suffix): the translations that its file needed


def inputs_of(model):
    rng = np.random.default_rng(1)
    drawn = [rng.normal(size=(2, *x.shape[1:])).astype("float32") for x in model.inputs]
    if any(isinstance(layer, L.Embedding) for layer in model.layers):
        drawn = [np.abs(x * 3).astype("int32") % 7 for x in drawn]
    return drawn if len(drawn) > 1 else drawn[0]


def write(model, path):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.name or "stddev" in weight.name else -0.5
        weight.assign(rng.uniform(low, low + 1, weight.shape))
    model.save(path)
    return path


def assert_same(got, want, tolerance=1e-5):
    for a, b in zip(keras.tree.flatten(got), keras.tree.flatten(want), strict=True):
        assert a.shape == b.shape
        assert np.abs(np.subtract(a, b)).max() <= tolerance * np.abs(b).max()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("case", CASES)
def test_what_keras_2_wrote_computes_the_same(case, suffix, tmp_path):
    model = CASES[case]()
    path = write(model, tmp_path / f"old{suffix}")
    x = inputs_of(model)
    loaded, report = load(path, prove=False)
    assert_same(loaded(x, training=False), model(x, training=False))
    assert report.writer == f"tf_keras {tk.__version__}" + (" on tensorflow" if suffix == ".h5" else "")
    assert report.proof == "none: prove=False"
    reported[case, suffix] = {made.translation for made in report.translated}
    loaded.save(tmp_path / "new.keras")
    assert_same(keras.models.load_model(tmp_path / "new.keras")(x, training=False), model(x, training=False))


# A SavedModel takes a second to write. benchmarks/old_files.py writes all of them.
FOLDERS = ("Bidirectional", "cells", "batch norm over two axes", "Sequential of a backbone", "three models deep")
FOLDERS += ("partly frozen", "shared model", "functions of TensorFlow", "'/' in names", "time distributed model")
FOLDERS += ("ConvLSTM2D", "embedding", "renorm", "mixed precision")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", FOLDERS)
def test_a_saved_model_of_keras_2_computes_the_same(case, tmp_path):
    model = CASES[case]()
    x = inputs_of(model)
    loaded, report = load(write(model, tmp_path / "old"), prove=False)
    assert_same(loaded(x, training=False), model(x, training=False))
    assert report.writer == f"tf_keras {tk.__version__}"


@pytest.mark.filterwarnings("ignore")
def test_each_translation_has_a_case(tmp_path):
    for case, suffix in [(case, suffix) for case in CASES for suffix in (".h5", ".keras")]:
        if (case, suffix) not in reported:  # run by itself: most were loaded above
            _, report = load(write(CASES[case](), tmp_path / f"old{suffix}"), prove=False)
            reported[case, suffix] = {made.translation for made in report.translated}
    # Tested below and in files of their own: tf_keras no longer writes such files.
    by_hand = {"structure", "GRU reset", "names of Keras 1", "cuDNN layers", "operations of TensorFlow"}
    by_hand |= {"spectral norm", "masks", "DeepLab's upsampling", "Python code in the file"}
    by_hand |= {
        "weight norm",
        "spectral norm",
        "masks",
        "norms of others",
        "copies on several GPUs",
        "classes of known packages",
    }
    assert {row.name for row in TRANSLATIONS} - by_hand <= set().union(*reported.values())


def edited(path, edit, **attributes):
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config)
        file.attrs["model_config"] = json.dumps(config).encode()
        for key, value in attributes.items():
            file.attrs[key] = value
    return path


@pytest.mark.filterwarnings("ignore")
def test_a_sequential_of_keras_2_0_is_a_plain_list(tmp_path):
    model = tk.Sequential([L.Conv2D(3, 2, input_shape=IMAGE), L.BatchNormalization(), L.Flatten(), L.Dense(2)])

    def as_list(config):
        config["config"] = [layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"]

    path = edited(write(model, tmp_path / "m.h5"), as_list, keras_version="2.0.8")
    loaded, report = load(path, prove=False)
    assert_same(loaded(inputs_of(model)), model(inputs_of(model)))
    assert "structure" in {made.translation for made in report.translated}
    assert report.writer == "Keras 2.0.8 on tensorflow"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_sequential_that_was_built_by_its_first_call_has_its_shape(suffix, tmp_path):
    model = tk.Sequential([L.Dense(3), L.Dense(2)])
    x = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    model(x)
    loaded = load(write(model, tmp_path / f"m{suffix}"), prove=False).model
    assert_same(loaded(x), model(x))


@pytest.mark.filterwarnings("ignore")
def test_a_nested_sequential_of_keras_2_1_is_a_plain_list_too(tmp_path):
    inner = tk.Sequential([L.Conv2D(3, 2, input_shape=IMAGE), L.BatchNormalization(), L.Flatten()], name="inner")
    model = chain(inner, L.Dense(2))

    def as_lists(config):
        config["class_name"] = "Model"
        (nested,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "Sequential"]
        nested["config"] = [layer for layer in nested["config"]["layers"] if layer["class_name"] != "InputLayer"]

    path = edited(write(model, tmp_path / "m.h5"), as_lists, keras_version="2.1.6")
    assert_same(load(path, prove=False).model(inputs_of(model)), model(inputs_of(model)))


@pytest.mark.filterwarnings("ignore")
def test_defaults_of_the_time_are_kept(tmp_path):
    """Keras 2.0 wrote no reset_after: its GRU reset before; its recurrent activation was the hard sigmoid."""
    model = chain(L.GRU(3, reset_after=False, recurrent_activation="hard_sigmoid"), shape=ROWS)

    def without(config):
        config["class_name"] = "Model"
        for key in ("reset_after", "recurrent_activation"):
            del config["config"]["layers"][1]["config"][key]

    path = edited(write(model, tmp_path / "m.h5"), without, keras_version="2.0.8")
    loaded, report = load(path, prove=False)
    assert_same(loaded(inputs_of(model)), model(inputs_of(model)))
    assert {"structure", "GRU reset", "hard_sigmoid"} <= {made.translation for made in report.translated}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".h5", ".keras", ""])
def test_a_layer_of_two_models_is_loaded_into_both(suffix, tmp_path):
    """A .keras file has its weights once, which tf_keras itself cannot read."""
    model = shared_across_models()
    loaded = load(write(model, tmp_path / f"m{suffix}"), prove=False).model
    assert_same(loaded(inputs_of(model)), model(inputs_of(model)))


@pytest.mark.filterwarnings("ignore")
def test_a_shared_layer_whose_name_is_not_its_own_is_refused_from_keras(tmp_path):
    x, dense = tk.Input(FLAT), L.Dense(5, name="d")
    other = tk.Model(a := tk.Input(FLAT), L.Dense(5, name="d")(a), name="other")
    first = tk.Model(b := tk.Input(FLAT), dense(b), name="first")
    path = write(tk.Model(x, dense(first(other(x)))), tmp_path / "m.keras")
    with pytest.raises(ExportError, match="layer 'd' is shared by several models, and 2 layers of this name"):
        load(path, prove=False)


@pytest.mark.filterwarnings("ignore")
def test_tuples_and_numpy_numbers_are_read_as_tensorflow_2_8_wrote_them(tmp_path):
    model = tk.Sequential([L.Dense(3, input_shape=FLAT), L.LeakyReLU(0.25), L.Dense(2)])

    def noted(config):
        layers = config["config"]["layers"]
        for layer in layers[:2]:
            layer["config"]["batch_input_shape"] = {"class_name": "__tuple__", "items": [None, 5]}
        layers[2]["config"]["alpha"] = {"type": "ndarray", "value": 0.25}
        config["config"]["build_input_shape"] = {"class_name": "TensorShape", "items": [None, 5]}

    path = edited(write(model, tmp_path / "m.h5"), noted, keras_version="2.8.0")
    assert_same(load(path, prove=False).model(inputs_of(model)), model(inputs_of(model)))


@pytest.mark.filterwarnings("ignore")
def test_theano_kernels_are_turned(tmp_path):
    model = chain(L.Conv2D(3, 3), L.Conv2D(2, 2), shape=IMAGE)
    path = edited(write(model, tmp_path / "m.h5"), lambda config: None, backend="theano")
    loaded, report = load(path)  # tf_keras does not turn them, and is not asked
    for layer, turned in zip(model.layers[1:], loaded.layers[1:], strict=True):
        kernel = layer.kernel.numpy()
        np.testing.assert_array_equal(np.flip(kernel, tuple(range(kernel.ndim - 2))), turned.kernel)
    assert "Theano kernels" in {made.translation for made in report.translated}
    assert "does not turn" in report.proof


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["LayerNormalization", "UnitNormalization", "Softmax"])
def test_an_h5_of_keras_3_keeps_its_axes(kind, tmp_path):
    options = {"center": False, "scale": False} if kind.startswith("Layer") else {}
    layer = getattr(keras.layers, kind)(axis=[1, 2], **options)
    model = keras.Sequential([keras.Input(ROWS), layer])
    model.save(tmp_path / "m.h5")
    loaded, report = load(tmp_path / "m.h5")
    x = np.random.default_rng(0).normal(size=(2, *ROWS)).astype("float32")
    assert_same(loaded(x), model(x))
    assert report.proof.startswith("none is needed")
    assert report.writer.startswith(f"Keras {keras.__version__}")


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
