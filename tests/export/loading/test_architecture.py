"""Weights beside the JSON of their model, of Keras 2 and 3: either file leads to both."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.filterwarnings("ignore")
X = np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")


def model_of(library):
    x = library.Input((6, 4))
    y = library.layers.BatchNormalization()(library.layers.Conv1D(3, 2, activation="hard_sigmoid")(x))
    model = library.Model(x, library.layers.LSTM(2)(y))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.2, weight.shape) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize("given", ["json", "weights"])
@pytest.mark.parametrize(
    ("library", "name"), [(tk, "m.h5"), (tk, "m_weights.h5"), (tk, "m.weights.h5"), (keras, "m.weights.h5")]
)
def test_either_file_leads_to_both(library, name, given, tmp_path):
    model = model_of(library)
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / name)
    loaded, report = load(tmp_path / ("m.json" if given == "json" else name), prove=False)
    np.testing.assert_allclose(loaded(X), model(X), rtol=1e-5)
    assert report.writer.startswith("tf_keras" if library is tk else "Keras 3")


@pytest.mark.runtime
def test_tf_keras_proves_a_pair_too(tmp_path):
    model = model_of(tk)
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "m.h5")
    assert load(tmp_path / "m.json").report.error <= 1e-5


def test_what_stands_beside_must_be_a_model(tmp_path):
    model_of(tk).save_weights(tmp_path / "m.h5")
    for text, reason in (("{", "'m.json' beside it is no JSON of a model"), ("{}", "'m.json' beside it describes no")):
        (tmp_path / "m.json").write_text(text)
        with pytest.raises(ExportError, match=reason):
            load(tmp_path / "m.h5")


def test_a_whole_model_needs_no_architecture(tmp_path):
    model = model_of(tk)
    model.save(tmp_path / "m.h5")
    (tmp_path / "m.json").write_text("spam")
    np.testing.assert_allclose(load(tmp_path / "m.h5", prove=False).model(X), model(X), rtol=1e-5)


def test_weights_in_other_files_are_not_read(tmp_path):
    model = model_of(keras)
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "m.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        file["layers/conv1d/vars/2"] = h5py.ExternalLink("other.h5", "kernel")
    with pytest.raises(ExportError, match="'/layers/conv1d/vars/2' is a link, which is not followed"):
        load(tmp_path / "m.json")


def test_code_in_an_architecture_is_not_run(tmp_path):
    model = keras.Sequential([keras.Input((6, 4)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(2)])
    (tmp_path / "m.json").write_text(model.to_json())
    model.save_weights(tmp_path / "m.weights.h5")
    assert "__lambda__" in json.dumps(json.loads((tmp_path / "m.json").read_text()))
    with pytest.raises(ExportError, match="not run from an untrusted file"):
        load(tmp_path / "m.json")
