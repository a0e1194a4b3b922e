"""Files as versions before tf_keras wrote them: its own files with the configs of those versions."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load
from old_models import FLAT, IMAGE, ROWS, assert_same, chain, edited, inputs_of, shared_across_models, write

tk = pytest.importorskip("tf_keras")

L = tk.layers


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
