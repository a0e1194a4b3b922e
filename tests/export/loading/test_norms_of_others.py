"""Norms of TensorFlow Addons and keras_contrib, against NumPy in float64.

Neither package runs today. The classes here are what their files need: the names, arguments and weights of theirs.
"""

import json

import h5py
import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers
SHAPE = (4, 6, 8)
TRAINING = {f"{of}_{what}": None for of in ("gamma", "beta") for what in ("initializer", "regularizer", "constraint")}


class Stub(L.Layer):
    """A layer with the weights and the config of another library's; it hands its input on."""

    def __init__(self, options=None, weights=None, **kwargs):
        super().__init__(**kwargs)
        self.options, self.shapes = options, weights

    def build(self, input_shape):
        for name, value in self.shapes.items():
            dtype = "bool" if np.asarray(value).dtype == bool else "float32"
            self.add_weight(name=name, shape=np.shape(value), dtype=dtype, trainable=dtype != "bool")

    def get_config(self):
        return {**super().get_config(), **self.options}

    def call(self, inputs):
        return inputs


def write(path, class_name, options, weights, version="2.9.0", shape=SHAPE, nested=False):
    x = tk.Input(shape)
    layer = Stub(options, weights, name="norm")
    model = tk.Model(x, layer(x))
    if nested:
        model = tk.Model(y := tk.Input(shape), L.Dense(3, name="after")(L.BatchNormalization(name="bn")(model(y))))
    for variable, value in zip(layer.variables, weights.values(), strict=True):
        variable.assign(value)
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        entry = config["config"]["layers"][1]
        entry = entry["config"]["layers"][1] if nested else entry
        entry.update(class_name=class_name, module=None, registered_name=None)
        entry.pop("build_config", None)
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
    return path


rng = np.random.default_rng(0)
GAMMA, BETA = rng.normal(size=(2, 8)).astype("float32")
AFFINE = {"gamma": GAMMA, "beta": BETA}
ONE = {"gamma": GAMMA[:1], "beta": BETA[:1]}
WIDE = {"gamma": GAMMA.reshape(1, 1, 1, 8), "beta": BETA.reshape(1, 1, 1, 8)}
LEARNT = {"learned_epsilon": np.float32([-0.3]), **WIDE}
OPTIONS = {"axis": -1, "epsilon": 0.1, "center": True, "scale": True, **TRAINING}
RESPONSE = {"axis": [1, 2], "epsilon": 0.1, "learned_epsilon": False, "learned_epsilon_constraint": None, **TRAINING}


def moments(x, axes):
    return x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)


def groups(x, count):
    """The paper's: channels in groups."""
    parts = x.reshape(*x.shape[:-1], count, -1)
    mean, variance = moments(parts, (1, 2, 4))
    return ((parts - mean) / np.sqrt(variance + 0.1)).reshape(x.shape) * GAMMA + BETA


def pieces(x, count):
    """keras_contrib's: rows of memory in groups, with gamma and beta of (groups, channels / groups)."""
    parts = x.reshape(len(x), count, 4, 6, -1)
    mean, variance = moments(parts, (2, 3, 4))
    affine = [each.reshape(1, count, 1, 1, -1) for each in (GAMMA, BETA)]
    return ((parts - mean) / np.sqrt(variance + 0.1) * affine[0] + affine[1]).reshape(x.shape)


def instance(x, axes, gamma=GAMMA, beta=BETA):
    mean, variance = moments(x, axes)
    return (x - mean) / (np.sqrt(variance) + 0.1) * gamma + beta


def response(x, epsilon):
    return x / np.sqrt(np.square(x).mean(axis=(1, 2), keepdims=True) + epsilon) * GAMMA + BETA


CASES = {
    "Addons, group": ("Addons>GroupNormalization", {"groups": 2, **OPTIONS}, AFFINE, lambda x: groups(x, 2)),
    "Addons, instance": ("Addons>InstanceNormalization", {"groups": 8, **OPTIONS}, AFFINE, lambda x: groups(x, 8)),
    "Addons, response": ("Addons>FilterResponseNormalization", RESPONSE, WIDE, lambda x: response(x, 0.1)),
    "Addons, response, learnt": (
        "Addons>FilterResponseNormalization",
        {**RESPONSE, "learned_epsilon": True},
        LEARNT,
        lambda x: response(x, 0.4),
    ),
    "contrib, group": ("GroupNormalization", {"groups": 2, **OPTIONS}, AFFINE, lambda x: pieces(x, 2)),
    "contrib, instance": ("InstanceNormalization", OPTIONS, AFFINE, lambda x: instance(x, (1, 2))),
    "contrib, instance, no axis": (
        "InstanceNormalization",
        {**OPTIONS, "axis": None},
        ONE,
        lambda x: instance(x, (1, 2, 3), GAMMA[0], BETA[0]),
    ),
}
X = rng.normal(2.0, 3.0, size=(3, *SHAPE)).astype("float32")


@pytest.mark.parametrize("case", CASES)
def test_each_norm_has_its_own_arithmetic(case, tmp_path):
    kind, options, weights, compute = CASES[case]
    version = "2.9.0" if kind.startswith("Addons") else "2.2.4"  # keras_contrib ran on standalone Keras
    model, report = load(write(tmp_path / "m.h5", kind, options, weights, version), prove=False)
    np.testing.assert_allclose(model(X), compute(X.astype("float64")), rtol=1e-4, atol=1e-5)
    (made,) = [made for made in report.translated if made.translation == "norms of others"]
    assert made.exactness == ("exact" if kind.startswith("Addons") else "exact if it is keras_contrib's")
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "m.keras")(X), model(X))


def test_from_keras_2_11_on_a_group_norm_is_keras_own(tmp_path):
    path = write(tmp_path / "m.h5", "GroupNormalization", {"groups": 2, **OPTIONS}, AFFINE, version="2.11.0")
    model = load(path, prove=False).model
    assert type(model.layers[1]) is keras.layers.GroupNormalization
    np.testing.assert_allclose(model(X), groups(X.astype("float64"), 2), rtol=1e-4, atol=1e-5)


def test_a_class_of_the_user_goes_before(tmp_path):
    class Own(keras.layers.GroupNormalization):
        """The user's."""

    path = write(tmp_path / "m.h5", "InstanceNormalization", {"groups": 2, **OPTIONS}, AFFINE)
    model = load(path, custom_objects={"InstanceNormalization": Own}, prove=False).model
    assert type(model.layers[1]) is Own
    with pytest.raises(ExportError, match="it uses 'InstanceNormalization', which is not registered"):
        load(path, prove=False)  # keras_contrib's has no groups


def normed(layer, kernel, bias):
    """The weights of a weight norm: g, v, the bias, whether it is set, and those of a clone."""
    g = np.abs(rng.normal(size=kernel.shape[-1])).astype("float32")
    weights = {"g": g, "kernel": kernel} | ({"bias": bias} if bias is not None else {}) | {"initialized": np.True_}
    options = {"data_init": False, "layer": {"class_name": type(layer).__name__, "config": layer.get_config()}}
    length = np.sqrt(np.square(kernel.astype("float64")).sum(axis=tuple(range(kernel.ndim - 1))))
    return options, weights, kernel.astype("float64") / length * g


@pytest.mark.parametrize("biased", [True, False])
def test_a_weight_norm_is_the_layer_within(biased, tmp_path):
    kernel, bias = rng.normal(size=(8, 3)).astype("float32"), rng.normal(size=3).astype("float32") if biased else None
    options, weights, made = normed(L.Dense(3, use_bias=biased, name="dense"), kernel, bias)
    path = write(tmp_path / "m.h5", "Addons>WeightNormalization", options, weights)
    model, report = load(path, prove=False)
    assert type(model.layers[1]) is keras.layers.Dense
    assert model.layers[1].name == "norm"
    np.testing.assert_allclose(model(X), X @ made + (bias if biased else 0), rtol=1e-4, atol=1e-4)
    assert "weight norm" in {row.translation for row in report.translated}


def test_a_weight_norm_that_was_never_called_is_refused(tmp_path):
    options, weights, _ = normed(L.Dense(3), rng.normal(size=(8, 3)).astype("float32"), BETA[:3])
    path = write(tmp_path / "m.h5", "Addons>WeightNormalization", options, {**weights, "initialized": np.False_})
    with pytest.raises(ExportError, match="'norm' was saved before its first call"):
        load(path, prove=False)


def test_a_weight_norm_within_a_model_is_found_by_its_names(tmp_path):
    kernel, bias = rng.normal(size=(8, 8)).astype("float32"), rng.normal(size=8).astype("float32")
    options, weights, made = normed(L.Dense(8, name="dense"), kernel, bias)
    path = write(tmp_path / "m.h5", "Addons>WeightNormalization", options, weights, nested=True)
    inner = load(path, prove=False).model.layers[1]
    np.testing.assert_allclose(inner(X), X @ made + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("nested", [False, True])
def test_a_spectral_norm_is_the_layer_within(nested, tmp_path):
    kernel, bias = rng.normal(size=(8, 8)).astype("float32"), rng.normal(size=8).astype("float32")
    layer = L.Dense(8, name="dense")
    options = {"power_iterations": 1, "layer": {"class_name": "Dense", "config": layer.get_config()}}
    weights = {"kernel": kernel, "bias": bias, "sn_u": np.ones((1, 8), "float32")}
    path = write(tmp_path / "m.h5", "Addons>SpectralNormalization", options, weights, nested=nested)
    model, report = load(path, prove=False)
    inner = model.layers[1] if nested else model
    np.testing.assert_allclose(inner(X), X @ kernel + bias, rtol=1e-4, atol=1e-4)
    assert [layer.name for layer in inner.layers[1:]] == ["norm"]  # the wrapper's, which the calls name
    assert "spectral norm" in {row.translation for row in report.translated}
