"""Configs, files and clones. A new process that has imported only keras_norms can read the files."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from layer_cases import BN, BRN, CASES, GN, IN, KBN, LN, inputs, randomize

import keras_norms
from keras_norms import RenormSchedule

LAYERS = (
    lambda: BN(momentum=0.9, epsilon=1e-4, beta_regularizer="l2"),
    lambda: BRN(momentum=0.9, schedule=RenormSchedule(2.0, 1.0, 3, 9, 8), virtual_batch_size=2),
    lambda: GN(groups=-1),
    lambda: GN(groups=2, gamma_constraint="non_neg", center=False),
    lambda: IN(epsilon=1e-5, scale=False),
    lambda: LN(axis=[1, 2, 3]),
    lambda: LN(),
)


def _model():
    """Every layer in one model with weights that differ from the initial ones."""
    keras.utils.set_random_seed(0)
    x = y = keras.Input((5, 5, 4), name="image")
    for i, make in enumerate(LAYERS):
        layer = randomize(make(), (None, 5, 5, 4), seed=i)
        y = keras.layers.Conv2D(4, 3, padding="same")(layer(y))
    model = keras.Model(x, keras.layers.GlobalAveragePooling2D()(y))
    next(v for v in model.variables if v.name == "step").assign(5)
    return model


# A fresh process, as its first import takes seconds: a served model without this package, then its files with it.
_FRESH = """
import json, sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] == "keras_norms":
            raise ImportError("keras_norms is not here")
refuse = Refuse()
sys.meta_path.insert(0, refuse)
import numpy as np
import tensorflow as tf
data = dict(np.load("data.npz"))
served = tf.saved_model.load("served")
error = np.abs(served.serve(tf.constant(data["x"])).numpy() - data["y"]).max()
said = {"served": float(error), "imported": "keras_norms" in sys.modules}

sys.meta_path.remove(refuse)
import keras
import keras_norms
for path in ("model.keras", "model.h5"):
    model = keras.models.load_model(path)
    error = np.abs(model(data["x"]).numpy() - data["y"]).max()
    said[path] = [float(error), [type(l).__module__ for l in model.layers][1::2]]
    for name, value in data.items():
        if name[0] == "w":
            np.testing.assert_array_equal(model.get_weights()[int(name[1:])], value)
print(json.dumps(said))
"""


def _output(model, x):
    """The model's output without predict, which would compile every model again."""
    return keras.ops.convert_to_numpy(model(x))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The model, an input, and a folder with its files."""
    folder = tmp_path_factory.mktemp("saved")
    model, x = _model(), inputs((3, 5, 5, 4))
    y = model.predict(x, verbose=0)
    np.savez(folder / "data.npz", x=x, y=y, **{f"w{i}": w for i, w in enumerate(model.get_weights())})
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "model.weights.h5")
    return model, x, folder


@pytest.fixture(scope="module")
def fresh(saved):
    """What a fresh process says of the files."""
    model, _, folder = saved
    model.export(folder / "served", verbose=False)
    command = [sys.executable, "-c", _FRESH]
    child = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout)


@pytest.mark.runtime
def test_files_in_a_fresh_process(fresh):
    for path in ("model.keras", "model.h5"):
        error, modules = fresh[path]
        assert error <= 1e-6
        assert " ".join(modules).count("keras_norms") == len(LAYERS)


def test_a_weights_file(saved):
    model, x, folder = saved
    other = keras.Model.from_config(model.get_config())
    assert np.abs(_output(other, x) - _output(model, x)).max() > 1e-3
    other.load_weights(folder / "model.weights.h5")
    np.testing.assert_allclose(_output(other, x), _output(model, x), rtol=0, atol=1e-6)


def test_a_weights_file_of_keras(tmp_path):
    def net(layers):
        return keras.Sequential([keras.Input((6,)), layers.BatchNormalization(), layers.LayerNormalization()])

    source = net(keras.layers)
    source.set_weights([np.random.default_rng(i).uniform(0.5, 1, w.shape) for i, w in enumerate(source.weights)])
    source.save_weights(tmp_path / "keras.weights.h5")
    target = net(keras_norms)
    target.load_weights(tmp_path / "keras.weights.h5")
    x = inputs((4, 6))
    np.testing.assert_allclose(target(x), source(x), rtol=0, atol=1e-5)


def test_clones(saved):
    model, x, _ = saved
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    for other in (clone, copy.deepcopy(model)):
        np.testing.assert_allclose(_output(other, x), _output(model, x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_configuration(case):
    layer = case.make(name="norm", beta_regularizer=keras.regularizers.L2(0.1), gamma_initializer="random_normal")
    before = layer.get_config()
    layer.build(case.shape)
    assert layer.get_config() == before
    again = type(layer).from_config(json.loads(json.dumps(before)))
    assert again.get_config() == before
    for name, value in case.arguments.items():
        assert getattr(again, name) == value
    registered = keras.saving.serialize_keras_object(layer)
    assert registered["registered_name"] == f"keras_norms>{case.layer.__name__}"
    assert keras.saving.deserialize_keras_object(json.loads(json.dumps(registered))).get_config() == before


@pytest.mark.parametrize("layer", [BN, BRN, GN, IN, LN])
def test_numpy_scalars_in_a_configuration(layer):
    arguments = {"axis": np.int64(-1), "epsilon": np.float32(0.25), "center": np.bool_(False)}
    if issubclass(layer, BN):
        arguments |= {"momentum": np.float64(0.5), "virtual_batch_size": np.int32(4)}
    if layer is GN:
        arguments["groups"] = np.int16(2)
    config = layer(**arguments).get_config()
    assert json.loads(json.dumps(config)) == config
    assert {k: config[k] for k in arguments} == {k: v.item() for k, v in arguments.items()}


def test_what_keras_rewrites_at_build_stays_as_given():
    group, norm = GN(groups=-1), LN(axis=-1)
    group.build((2, 5, 6))
    norm.build((2, 5, 6))
    assert group.get_config()["groups"] == -1
    assert norm.get_config()["axis"] == -1
    twin = keras.layers.GroupNormalization(groups=-1)
    twin.build((2, 5, 6))
    assert twin.get_config()["groups"] == 6


def test_an_axis_in_a_list_as_old_configurations_have_it():
    config = {**KBN().get_config(), "axis": [3]}
    assert BN.from_config(config).axis == 3


@pytest.mark.runtime
def test_a_saved_model_serves_without_this_package(fresh):
    assert fresh["served"] <= 1e-5
    assert not fresh["imported"]


@pytest.mark.parametrize("layer", [GN(2), IN(), LN()])
def test_an_inference_graph_has_no_kernel_that_converters_lack(layer):
    """EuclideanNorm is used if a gradient is recorded only: TFLite, ONNX, TensorFlow.js and XLA do not have it."""

    def operations(function):
        definition = tf.function(function).get_concrete_function(tf.TensorSpec((2, 6, 6, 4))).graph.as_graph_def()
        nodes = [*definition.node, *(node for inner in definition.library.function for node in inner.node_def)]
        return {node.op for node in nodes}

    def trained(x):
        with tf.GradientTape():
            return layer(x)

    assert "EuclideanNorm" in operations(trained)
    assert "EuclideanNorm" not in operations(lambda x: layer(x))


GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.keras"))


def test_there_are_golden_files():
    assert GOLDEN


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_files_of_earlier_versions_load(path):
    pytest.importorskip("keras", minversion="3.15")  # an older Keras cannot read a newer one's Conv2D
    data = dict(np.load(path.with_suffix(".npz")))
    model = keras.models.load_model(path)
    np.testing.assert_allclose(_output(model, data["x"]), data["y"], rtol=0, atol=1e-5)
    older = keras.models.load_model(path.with_suffix(".h5"))
    np.testing.assert_allclose(_output(older, data["x"]), data["y"], rtol=0, atol=1e-5)
    state = [model.get_layer(name).get_config() for name in data["names"]]
    assert json.loads(str(data["configs"])) == state
