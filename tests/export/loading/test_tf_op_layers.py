"""Operations of TensorFlow as layers of TensorFlow 2.0 to 2.3, written by their own class."""

import json

import h5py
import numpy as np
import pytest
from keras_norms.export import ExportError, load

tk = pytest.importorskip("tf_keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore")


def operation(function, *inputs):
    """The layer that TensorFlow 2.3 made of a call: the node of the last operation, other inputs as constants."""
    from tf_keras.src.engine.base_layer import TensorFlowOpLayer

    graph = tf.Graph()
    with graph.as_default():
        tensors = [tf.compat.v1.placeholder(x.dtype, [None, *x.shape[1:]]) for x in inputs]
        made = function(*tensors).op
    constants = {i: tf.get_static_value(x) for i, x in enumerate(made.inputs) if tf.get_static_value(x) is not None}
    name = f"{made.name}_{next(counter)}"
    return TensorFlowOpLayer(made.node_def.SerializeToString(), name, constants=constants)(list(inputs))


counter = iter(range(1000))
CASES = {
    "x * 2": (lambda a, b: a * 2, 1),
    "1 - x": (lambda a, b: 1 - a, 1),
    "x + y": (lambda a, b: a + b, 2),
    "x / 3": (lambda a, b: a / 3, 1),
    "maximum": (lambda a, b: tf.maximum(a, b), 2),
    "x ** 2": (lambda a, b: a**2, 1),
    "-x": (lambda a, b: -a, 1),
    "tanh": (lambda a, b: tf.tanh(a), 1),
    "relu6": (lambda a, b: tf.nn.relu6(a), 1),
    "softmax": (lambda a, b: tf.nn.softmax(a), 1),
    "mean": (lambda a, b: tf.reduce_mean(a, axis=1, keepdims=True), 1),
    "sum of two axes": (lambda a, b: tf.reduce_sum(a, axis=[1, 2]), 1),
    "concat": (lambda a, b: tf.concat([a, b], axis=-1), 2),
    "stack": (lambda a, b: tf.stack([a, b], axis=1), 2),
    "expand_dims": (lambda a, b: tf.expand_dims(a, 1), 1),
    "reshape": (lambda a, b: tf.reshape(a, (-1, 2, 12)), 1),
    "transpose": (lambda a, b: tf.transpose(a, (0, 2, 1)), 1),
    "x[:, 1:3]": (lambda a, b: a[:, 1:3], 1),
    "x[:, -1]": (lambda a, b: a[:, -1], 1),
    "x[..., ::2]": (lambda a, b: a[..., ::2], 1),
    "x[:, None]": (lambda a, b: a[:, None], 1),
}


def as_text(path):
    """The file with its nodes as TensorFlow 2.0 wrote them: the bytes of the message, as text."""
    from google.protobuf import json_format

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "TensorFlowOpLayer":
                node = json_format.ParseDict(layer["config"]["node_def"], tf.compat.v1.NodeDef())
                layer["config"]["node_def"] = node.SerializeToString(deterministic=True).decode()
        file.attrs["model_config"] = json.dumps(config)


@pytest.mark.parametrize("text", [False, True], ids=["2.3", "2.0"])
@pytest.mark.parametrize("case", CASES)
def test_operations_compute_the_same(case, text, tmp_path):
    function, count = CASES[case]
    a, b = tk.Input((6, 4)), tk.Input((6, 4))
    made = operation(lambda *x: function(x[0], x[-1]), *[a, b][:count])
    model = tk.Model([a, b], [made, tk.layers.Add()([a, b])])
    path = tmp_path / "m.h5"
    model.save(path)
    if text:
        as_text(path)
    x = [np.random.default_rng(seed).uniform(0.1, 2, (2, 6, 4)).astype("float32") for seed in (0, 1)]
    loaded, report = load(path, prove=False)
    for got, want in zip(loaded(x), model(x), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    assert "operations of TensorFlow" in {row.translation for row in report.translated}


def test_an_operation_without_a_row_is_refused(tmp_path):
    a = tk.Input((6, 4))
    tk.Model(a, operation(lambda x: tf.cumsum(x, axis=1), a)).save(tmp_path / "m.h5")
    with pytest.raises(ExportError, match="is TensorFlow's Cumsum, for which there is no translation"):
        load(tmp_path / "m.h5", prove=False)


@pytest.mark.runtime
def test_tf_keras_computes_operations_that_have_a_row(tmp_path):
    a = tk.Input((6, 4))
    tk.Model(a, operation(lambda x: x * 2, a)).save(tmp_path / "m.h5")
    assert load(tmp_path / "m.h5").report.error <= 1e-6
