"""Layers that only have the name of a stock class, and what old backends computed otherwise: refused by a reason."""

import json

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers
X = np.random.default_rng(0).normal(size=(2, 6, 6, 4)).astype("float32")


class Scale(L.Layer):
    """A layer whose config the cases below change."""

    def call(self, inputs):
        return inputs


def bilinear():
    return L.UpSampling2D(2, interpolation="bilinear", name="n")


def saved(path, layer, version, backend="tensorflow", without=(), class_name=None, ragged=True, **more):
    """A model of one layer as another version wrote it."""
    tk.Sequential([tk.Input((6, 6, 4)), layer]).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        entry = config["config"]["layers"][1]
        entry["class_name"] = class_name or entry["class_name"]
        for key in without:
            del entry["config"][key]
        entry["config"] |= more
        if not ragged:
            del config["config"]["layers"][0]["config"]["ragged"]
        file.attrs["model_config"] = json.dumps(config)
        for group in (file, file["model_weights"]):
            group.attrs["keras_version"], group.attrs["backend"] = version, backend
    return path


REFUSED = {
    "layer norm in standalone Keras": (
        lambda: L.LayerNormalization(name="n"),
        {"version": "2.2.4"},
        r"'n' is a LayerNormalization of the writer's own: Keras 2.2.4 had no class of this name.*custom_objects=",
    ),
    "layer norm without get_config": (
        lambda: L.LayerNormalization(name="n"),
        {"version": "2.2.4-tf", "without": ("axis", "epsilon", "center", "scale")},
        "its config has no axis, which that of Keras' own always has",
    ),
    "group norm before Keras had one": (
        lambda: L.GroupNormalization(2, name="n"),
        {"version": "2.4.0"},
        "'n' is a GroupNormalization of the writer's own: .*2.4.0 had no class of this name",
    ),
    "RMS norm before Keras 3": (
        lambda: L.UnitNormalization(name="n"),
        {"version": "2.15.0", "class_name": "RMSNormalization"},
        "'n' is a RMSNormalization of the writer's own",
    ),
    "instance norm of somebody": (
        lambda: L.LayerNormalization(name="n"),
        {"version": "2.9.0", "class_name": "InstanceNormalization"},
        r"does not say whose: keras_contrib's divides by sqrt\(variance\) \+ epsilon, the paper's by sqrt\(variance \+",
    ),
    "bilinear in standalone Keras": (
        bilinear,
        {"version": "2.2.4"},
        "'n' is a bilinear UpSampling2D of Keras 2.2.4: .* from the corners of pixels",
    ),
    "bilinear in what may be TensorFlow 1.13": (
        bilinear,
        {"version": "2.2.4-tf", "ragged": False},
        "'n' is a bilinear UpSampling2D of tf.keras 2.2.4-tf: that of TensorFlow 1.13 took its points from the corners",
    ),
    "bilinear beside an initializer of TensorFlow 1": (
        bilinear,
        {
            "version": "2.2.4-tf",
            "ragged": False,
            "gamma_initializer": {"class_name": "Ones", "config": {"dtype": "float32"}},
        },
        "nothing in the file shows that TensorFlow 1.15 or later wrote it",
    ),
    "resizing that is gone": (
        lambda: L.Resizing(4, 4, interpolation="gaussian", name="n"),
        {"version": "2.15.0"},
        "'n' resizes with interpolation='gaussian', which Keras 3 has no more",
    ),
    "layer scale before Keras had one": (
        lambda: Scale(name="n"),
        {"version": "2.6.0", "class_name": "LayerScale", "init_values": 1.0, "projection_dim": 4},
        "'n' is a LayerScale of the writer's own: .* had no class of this name",
    ),
    "layer scale of other arguments": (
        lambda: Scale(name="n"),
        {"version": "2.15.0", "class_name": "LayerScale", "init_value": 1.0},
        "its config has no init_values, which that of Keras' own always has",
    ),
    "scale layer with another argument": (
        lambda: Scale(name="n"),
        {"version": "2.15.0", "class_name": "CustomScaleLayer", "scale": 1.0, "offset": 2.0},
        "its config has offset, which that of Keras' own never has",
    ),
    "rescaling of somebody": (
        lambda: Scale(name="n"),
        {"version": "2.6.0", "class_name": "Rescaling", "scale": 1.0},
        "its config has no offset, which that of Keras' own always has",
    ),
    "strides on Theano": (
        lambda: L.Conv2D(2, 3, strides=2, padding="same", name="n"),
        {"version": "2.2.4", "backend": "theano"},
        "'n' pads with 'same' on Theano",
    ),
    "even kernel on Theano": (
        lambda: L.Conv2D(2, (3, 2), padding="same", name="n"),
        {"version": "2.2.4", "backend": "theano"},
        "'n' pads with 'same' on Theano",
    ),
    "pooling on Theano": (
        lambda: L.MaxPooling2D(3, 1, padding="same", name="n"),
        {"version": "2.2.4", "backend": "theano"},
        "'n' pads with 'same' on Theano",
    ),
}
READ = {
    "layer norm of tf.keras": (lambda: L.LayerNormalization(), {"version": "2.2.4-tf"}),
    "group norm": (lambda: L.GroupNormalization(2), {"version": "2.11.0"}),
    "bilinear": (lambda: L.UpSampling2D(2, interpolation="bilinear"), {"version": "2.4.0"}),
    "bilinear of TensorFlow 2.0": (bilinear, {"version": "2.2.4-tf"}),
    "bilinear beside an initializer of TensorFlow 2": (
        lambda: tk.Sequential([bilinear(), L.Dense(2)]),
        {"version": "2.2.4-tf", "ragged": False},
    ),
    "nearest": (lambda: L.UpSampling2D(2), {"version": "2.2.4"}),
    "odd kernel on Theano": (lambda: L.Conv2D(2, 3, padding="same"), {"version": "2.2.4", "backend": "theano"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_file_does_not_say_is_refused(case, tmp_path):
    make, options, reason = REFUSED[case]
    with pytest.raises(ExportError, match=reason):
        load(saved(tmp_path / "m.h5", make(), **options), prove=False)


@pytest.mark.parametrize("case", READ)
def test_what_it_says_is_read(case, tmp_path):
    make, options = READ[case]
    load(saved(tmp_path / "m.h5", make(), **options), prove=False)


def test_a_class_in_a_package_is_not_the_stock_one(tmp_path):
    @tk.utils.register_keras_serializable("mine")
    class LayerNormalization(L.LayerNormalization):
        """Called like the stock one."""

    class Unregistered(L.LayerNormalization):
        """In no package, and of another module than Keras'."""

    Unregistered.__name__ = "LayerNormalization"
    for number, layer in enumerate((LayerNormalization(), Unregistered())):
        path = tmp_path / f"{number}.keras"
        tk.Sequential([tk.Input((6, 6, 4)), layer]).save(path)
        with pytest.raises(ExportError, match="LayerNormalization', which is not registered"):
            load(path, prove=False)

    @keras.saving.register_keras_serializable("mine", name="LayerNormalization")
    class Own(keras.layers.LayerNormalization):
        """The same in Keras 3."""

    try:
        assert type(load(tmp_path / "0.keras", prove=False).model.layers[0]) is Own
    finally:
        keras.saving.get_custom_objects().pop("mine>LayerNormalization")
    given = load(tmp_path / "1.keras", prove=False, custom_objects={"LayerNormalization": Own}).model
    assert type(given.layers[0]) is Own
