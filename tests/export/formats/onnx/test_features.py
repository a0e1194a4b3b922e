"""Weights around a flattened image take its permutation, so that no transpose stands between; exact, or not done."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.runtime_abilities import newest_opset
from models import randomize
from onnx_files import chain, counted, passed, run_as_written

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.layout import settle_layout  # noqa: E402

L = keras.layers
IMAGE, WIDTH = (3, 4, 5), 60


class Graph:
    """Convolutions of [1, 3, 4, 5] between transposes, flattened, and what follows."""

    def __init__(self):
        self.rng, self.nodes, self.constants = np.random.default_rng(0), [], []

    def constant(self, values):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def normal(self, *shape):
        return self.constant(self.rng.normal(size=shape).astype("float32"))

    def add(self, op_type, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def conv(self, x, channels=5):
        x = self.add("Transpose", x, perm=[0, 3, 1, 2])
        return self.add("Transpose", self.add("Conv", x, self.normal(channels, 5, 1, 1)), perm=[0, 2, 3, 1])

    def to(self, x, *sizes):
        return self.add("Reshape", x, self.constant(np.array(sizes)))

    def flat(self, x="x"):
        return self.to(self.conv(x), -1, WIDTH)

    def dense(self, x, width=WIDTH, units=2):
        return self.add("MatMul", x, self.normal(width, units))

    def image(self, x):
        return self.conv(self.to(x, -1, *IMAGE))

    def proto(self, *outputs):
        info = onnx.helper.make_tensor_value_info
        ends = [info(name, onnx.TensorProto.FLOAT, None) for name in outputs]
        x = info("x", onnx.TensorProto.FLOAT, ["batch", *IMAGE])
        graph = onnx.helper.make_graph(self.nodes, "g", [x], ends, self.constants)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def two_flat(g):
    return g.flat(), g.to(g.conv("x"), 0, -1)


def recurrent(g):
    steps = [g.add("Unsqueeze", flat, g.constant(np.array([0]))) for flat in two_flat(g)]
    x = g.add("Concat", *steps, axis=0)
    y, _ = g.add("LSTM", x, g.normal(1, 16, WIDTH), g.normal(1, 16, 4), hidden_size=4, outputs=2)
    return y


def norm(g, op_type, parameters, **attributes):
    values = [g.constant(g.rng.uniform(1, 2, WIDTH).astype("float32")) for _ in range(parameters)]
    return g.dense(g.add(op_type, g.flat(), *values, **attributes))


def shared(g):
    kernel = g.normal(WIDTH, 2)
    return [g.add("MatMul", flat, kernel) for flat in two_flat(g)]


def through(g):
    """An image, features, an image again, with nothing but a bias a feature between."""
    return g.image(g.add("Tanh", g.add("Add", g.flat(), g.normal(WIDTH))))


# what stands behind the flattened image, and how many transposes are left: one at the input, one for each image that
# is an output, and one for each block that cannot follow
FOLLOW = {
    "dense": (lambda g: g.dense(g.flat()), 1),
    "two dense": (lambda g: [g.dense(x := g.flat()), g.dense(g.add("Relu", x))], 1),
    "a number a feature": (lambda g: g.dense(g.add("Mul", g.normal(1, WIDTH), g.flat())), 1),
    "one number": (lambda g: g.dense(g.add("Clip", g.flat(), g.constant(np.float32(-1)))), 1),
    "one number a sample": (lambda g: g.dense(g.add("Div", x := g.flat(), g.add("ReduceL2", x, g.constant([1])))), 1),
    "softmax": (lambda g: g.dense(g.add("Softmax", g.flat())), 1),
    "layer norm": (lambda g: norm(g, "LayerNormalization", 2), 1),
    "batch norm": (lambda g: norm(g, "BatchNormalization", 4), 1),
    "two images added": (lambda g: g.dense(g.add("Add", *two_flat(g))), 1),
    "concatenated": (lambda g: g.dense(g.add("Concat", *two_flat(g), g.dense(g.flat()), axis=1), 2 * WIDTH + 2), 1),
    "product with a bias": (lambda g: g.add("Gemm", g.flat(), g.normal(2, WIDTH), g.normal(2), transB=1), 1),
    "made by a product": (lambda g: g.image(g.add("Gemm", g.dense(g.flat()), g.normal(2, WIDTH), g.normal(WIDTH))), 2),
    "made and used": (lambda g: [g.image(x := g.dense(g.dense(g.flat()), 2, WIDTH)), g.dense(x)], 2),
    "a shared kernel": (shared, 1),
    "in time": (recurrent, 1),
    "an image again": (through, 2),
    "a sum over samples": (lambda g: g.add("ReduceSum", g.flat(), g.constant([0])), 2),
    "itself an output": (lambda g: [x := g.flat(), g.dense(x)], 2),
    "half of it": (lambda g: g.dense(g.add("Slice", g.flat(), *map(g.constant, ([0], [30], [1]))), 30), 2),
    "another image": (lambda g: g.conv(g.to(g.flat(), -1, 4, 3, 5)), 4),
    "computed weights": (lambda g: g.add("MatMul", g.flat(), g.add("Exp", g.normal(WIDTH, 2))), 2),
    "added to rows": (lambda g: g.dense(g.add("Add", g.flat(), g.to(g.flat(), -1, 1, WIDTH))), 3),
    "not all of it": (lambda g: g.dense(g.to(g.conv("x"), -1, 12, 5), 5), 2),
}


@pytest.mark.parametrize("case", FOLLOW)
def test_weights_follow_a_flattened_image_or_it_stays(case):
    g = Graph()
    outputs, most = FOLLOW[case]
    outputs = outputs(g)
    proto = g.proto(*outputs) if isinstance(outputs, list) else g.proto(outputs)
    x = np.random.default_rng(1).normal(size=(2, *IMAGE)).astype("float32")
    rest = passed(proto, settle_layout)
    assert sum(node.op_type == "Transpose" for node in rest.graph.node) == most
    expected, got = run_as_written(proto, x), run_as_written(rest, x)
    for name, y in expected.items():
        np.testing.assert_allclose(got[name], y, rtol=0, atol=1e-5 * np.abs(y).max(), err_msg=name)
    assert sum(map(len, (t.raw_data for t in rest.graph.initializer))) <= sum(
        map(len, (t.raw_data for t in proto.graph.initializer))
    ), "weights are permuted, not doubled"


def lenet():
    x = inputs = keras.Input((10, 10, 3), name="x")
    x = L.MaxPooling2D()(L.Conv2D(8, 3, activation="relu")(x))
    x = L.Dense(16, activation="relu")(L.Dropout(0.5)(L.BatchNormalization()(L.Flatten()(x))))
    return randomize(keras.Model(inputs, L.Dense(4, name="y")(x)))


def decoder():
    return chain(
        (6,), L.Dense(96), L.LeakyReLU(), L.Reshape((4, 3, 8)), L.Conv2DTranspose(4, 3, 2), L.ReLU(), L.Conv2D(2, 1)
    )


@pytest.mark.runtime
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"opset": 13},
        {"opset": newest_opset(), "batch_size": 2},
        {"layout": "nchw"},
        {"quantize": "float16"},
        {"quantize": "dynamic"},
        {"quantize": "int8", "calibration": np.random.default_rng(0).normal(size=(8, 10, 10, 3)).astype("float32")},
    ],
    ids=str,
)
@pytest.mark.runtime
def test_a_convolutional_classifier_has_one_transpose(options, tmp_path):
    to_onnx(lenet(), tmp_path / "m.onnx", **options)
    found = counted(tmp_path / "m.onnx")
    assert found.get("Transpose", 0) == (options.get("layout") != "nchw")
    assert found["Reshape"] == 1 + (options.get("quantize") == "dynamic"), "the quantizer makes one of a bias"


@pytest.mark.runtime
@pytest.mark.parametrize("layout", ["keras", "nchw"])
@pytest.mark.runtime
def test_a_decoder_is_transposed_behind_its_last_convolution_only(layout, tmp_path):
    to_onnx(decoder(), tmp_path / "m.onnx", layout=layout)
    assert counted(tmp_path / "m.onnx").get("Transpose", 0) == (layout == "keras")


@pytest.mark.runtime
@pytest.mark.parametrize("shape", [(12, 4), (5, 4, 6, 2)])
@pytest.mark.runtime
def test_a_flattened_series_or_volume_too(shape, tmp_path):
    convolution = {2: L.Conv1D, 4: L.Conv3D}[len(shape)]
    to_onnx(chain(shape, convolution(6, 3), L.ReLU(), L.Reshape((-1,)), L.Dense(3)), tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["Transpose"] == 1


@pytest.mark.runtime
def test_a_transpose_before_the_rows_of_an_image_stays(tmp_path):
    """[N, channels, time] cut into rows of one channel: these may turn as images do, but not what they are cut from."""
    x = keras.Input((32, 2))
    rows = keras.ops.reshape(keras.ops.transpose(x, (0, 2, 1)), (-1, 32, 1))
    model = randomize(keras.Model(x, L.Conv1D(5, 8, strides=4)(rows)))
    assert to_onnx(model, tmp_path / "m.onnx").verification.relative < 1e-6
