"""Model files: right, old, damaged, foreign, hostile."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_norms.export import ExportError, to_onnx, to_tflite
from keras_norms.export.loading.load_model import load_model
from keras_norms.export.model.signature import signature
from models import NORMS, image_net


@pytest.fixture(scope="module")
def net():
    return image_net(NORMS["GroupNormalization"], size=6, channels=4)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saved_models_load_with_the_packs_layers_registered(net, suffix, tmp_path):
    net.save(tmp_path / f"net{suffix}")
    loaded = load_model(tmp_path / f"net{suffix}")
    x = np.ones((1, 6, 6, 3), "float32")
    np.testing.assert_array_equal(loaded(x), net(x))
    assert load_model(str(tmp_path / f"net{suffix}")).name == "image_net"
    assert load_model(net) is net


def of_keras_2():
    """A model as Keras 2 wrote it, with every layer whose arguments have changed since."""
    tk = pytest.importorskip("tf_keras")
    image = x = tk.Input((8, 8, 2))
    x = tk.layers.SpatialDropout2D(0.1)(tk.layers.DepthwiseConv2D(3, padding="same")(x))
    x = tk.layers.BatchNormalization()(tk.layers.Conv2DTranspose(3, 2, strides=2)(x))
    x = tk.layers.ReLU(6.0)(tk.layers.SeparableConv2D(4, 3)(x))
    x = tk.layers.TimeDistributed(tk.layers.Conv1DTranspose(2, 3))(x)
    x = tk.layers.Bidirectional(tk.layers.LSTM(3, return_sequences=True))(tk.layers.Reshape((14, -1))(x))
    x = tk.layers.RNN([tk.layers.GRUCell(2), tk.layers.LSTMCell(2)])(tk.layers.GRU(3, return_sequences=True)(x))
    return tk.Model(image, tk.layers.Dense(2)(x))


@pytest.mark.runtime
def test_a_file_of_keras_2_is_read_without_the_arguments_that_are_gone(tmp_path):
    model = of_keras_2()
    model.save(tmp_path / "old.h5", include_optimizer=False)
    before = (tmp_path / "old.h5").read_bytes()
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype("float32")
    np.testing.assert_allclose(load_model(tmp_path / "old.h5")(x), model(x), atol=1e-5)
    assert (tmp_path / "old.h5").read_bytes() == before
    with pytest.raises(ExportError, match=r"a model of tf_keras, Keras 2. Save it, model.save"):
        load_model(model)


class Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def save(folder, model, name):
    path = folder / name
    model.save(path)
    return path


def lambda_model():
    return keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda t: t * 2)])


def cut(folder, net, suffix):
    whole = save(folder, net, f"whole{suffix}").read_bytes()
    path = folder / f"cut{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    return path


def written(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def without_config(folder):
    path = folder / "other.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no model")
    return path


def weights_only(folder, net):
    path = folder / "net.weights.h5"
    net.save_weights(path)
    return path


BAD_FILES = {
    "missing": (lambda folder, net: folder / "none.keras", "There is no model file"),
    "a directory": (lambda folder, net: folder, "is a directory, and no SavedModel"),
    "truncated zip": (lambda folder, net: cut(folder, net, ".keras"), "truncated or damaged"),
    "truncated HDF5": (lambda folder, net: cut(folder, net, ".h5"), "Cannot load .*damaged|truncated"),
    "foreign": (lambda folder, net: written(folder, "photo.png", b"\x89PNG...."), "of another kind"),
    "text named keras": (lambda folder, net: written(folder, "m.keras", b"hello"), "truncated or damaged"),
    "empty": (lambda folder, net: written(folder, "m.h5", b""), "truncated or damaged"),
    "zip of something else": (lambda folder, net: without_config(folder), "no Keras model: it has no config.json"),
    "weights alone": (weights_only, "holds weights without a model"),
    "wrong suffix": (
        lambda folder, net: save(folder, net, "m.keras").rename(folder / "m.zip"),
        r"Keras zip file, which Keras reads only as \*.keras",
    ),
    "unregistered layer": (
        lambda folder, net: save(folder, keras.Sequential([keras.Input((2,)), Unregistered()]), "m.keras"),
        "it uses 'Unregistered', which is not registered",
    ),
    "unregistered layer, legacy": (
        lambda folder, net: save(folder, keras.Sequential([keras.Input((2,)), Unregistered()]), "m.h5"),
        "it uses 'Unregistered', which is not registered",
    ),
    "code": (lambda folder, net: save(folder, lambda_model(), "m.keras"), "not run from an untrusted file"),
    "code, legacy": (lambda folder, net: save(folder, lambda_model(), "m.h5"), "not run from an untrusted file"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", BAD_FILES)
def test_files_of_no_use_are_refused_with_the_reason(case, net, tmp_path):
    make, message = BAD_FILES[case]
    path = make(tmp_path, net)
    with pytest.raises(ExportError, match=message):
        load_model(path)


def test_what_is_no_model_is_refused():
    with pytest.raises(ExportError, match="Expected a keras.Model or the path of one, got Dense"):
        load_model(keras.layers.Dense(2))
    with pytest.raises(ExportError, match="must be built before it is exported"):
        load_model(keras.Sequential([keras.layers.Dense(2)]))


def test_outputs_of_one_layer_get_names_of_their_own():
    x = keras.Input((2,), name="x")
    y, named = keras.layers.Dense(2, name="y")(x), keras.layers.Dense(2, name="y_1")(x)
    assert signature(keras.Model(x, [y, y, named])).outputs == ("y", "y_2", "y_1")


@pytest.mark.runtime
def test_targets_of_no_use_are_refused_before_any_work(net, tmp_path):
    (tmp_path / "folder.onnx").mkdir()
    for path, message in (
        (tmp_path / "m.onnx", r"must end in .tflite; got 'm.onnx'"),
        (tmp_path / "none" / "m.tflite", "does not exist. Create it first"),
    ):
        with pytest.raises(ExportError, match=message):
            to_tflite(net, path)
    with pytest.raises(ExportError, match="is a directory. Add a file name"):
        to_onnx(net, tmp_path / "folder.onnx")
    if Path("/proc/self").exists():  # no one may write there, root neither
        with pytest.raises(ExportError, match="Cannot write into '/proc/self': .* Choose another directory"):
            to_onnx(net, "/proc/self/m.onnx")
    for batch_size in (0, -1, 1.5, True):
        with pytest.raises(ExportError, match="batch_size must be a positive integer"):
            to_onnx(net, tmp_path / "m.onnx", batch_size=batch_size)
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.onnx"]


@pytest.mark.runtime
def test_a_model_without_a_builtin_operation_names_it_and_its_layer(tmp_path):
    x = keras.Input((3, 3), name="x")
    inverse = keras.layers.Lambda(lambda t: tf.linalg.inv(t), name="inverse")
    model = keras.Model(x, inverse(x))
    with pytest.raises(ExportError, match=r"no builtin operation for MatrixInverse \(in .*inverse"):
        to_tflite(model, tmp_path / "m.tflite")
    assert not list(tmp_path.iterdir())
