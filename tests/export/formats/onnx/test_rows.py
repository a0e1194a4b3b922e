"""Series as images of one row: the same values, convolutions in two dimensions, and no more turns than needed."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.conv1d_as_conv2d import conv1d_as_conv2d  # noqa: E402
from keras_norms.export.formats.onnx.passes.reduce_without_reshape import reduce_without_reshape  # noqa: E402
from keras_norms.export.formats.onnx.passes.transpose_as_reshape import transpose_as_reshape  # noqa: E402
from onnx_files import passed, run_as_written  # noqa: E402

LENGTH, CHANNELS = 8, 16


class Program:
    """A random graph over [1, channels, length], now and then turned to [1, length, channels]."""

    def __init__(self, seed):
        self.rng, self.nodes, self.constants = np.random.default_rng(seed), [], []

    def constant(self, values, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def whole(self, *values):
        return self.constant(values, np.int64)

    def add(self, op_type, *inputs, outputs=1, **attributes):
        names = [f"v{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def normal(self, *shape):
        return self.constant(self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def turned(self, change, x):
        """`change` on channels last."""
        return self.add("Transpose", change(self.add("Transpose", x, perm=[0, 2, 1])), perm=[0, 2, 1])

    def step(self, x, other):
        c, n, add, whole = CHANNELS, LENGTH, self.add, self.whole
        group = (self.constant(np.ones(4)), self.constant(np.zeros(4)))
        kinds = {
            "conv": lambda: add("Conv", x, self.normal(c, c, 3), self.normal(c), pads=[1, 1], kernel_shape=[3]),
            "dilated": lambda: add("Conv", x, self.normal(c, c // 4, 3), pads=[4, 0], dilations=[2], group=4),
            "plain": lambda: add("Conv", x, self.normal(c, c, 1)),
            "transposed": lambda: add("ConvTranspose", x, self.normal(c, c, 3), pads=[1, 1], strides=[1]),
            "pool": lambda: add("MaxPool", x, kernel_shape=[3], pads=[1, 1], strides=[1]),
            "batch norm": lambda: add("BatchNormalization", x, *(self.constant(np.ones(c)) for _ in range(4))),
            "relu": lambda: add("Relu", x),
            "bias": lambda: add("Add", x, self.normal(c, 1)),
            "row": lambda: add("Mul", self.normal(n), x),
            "whole": lambda: add("Mul", self.normal(1, c, n), x),
            "merge": lambda: add("Add", x, other),
            "excite": lambda: add("Mul", x, add("Sigmoid", add("ReduceMean", x, whole(2), keepdims=1))),
            "channels": lambda: add("Sub", x, add("ReduceMax", x, whole(1), keepdims=1)),
            "softmax": lambda: add("Softmax", x, axis=1),
            "concat": lambda: add("Slice", add("Concat", x, other, axis=1), whole(3), whole(3 + c), whole(1)),
            "split": lambda: add("Concat", *add("Split", x, outputs=2, axis=2, num_outputs=2)[::-1], axis=2),
            # TensorFlow's limits are of 32 bits, and ONNX wants the axes like them.
            "reversed": lambda: add("Slice", x, *(self.constant([i], np.int32) for i in (n - 1, -n - 1, 2, -1))),
            "pad": lambda: add("Slice", add("Pad", x, whole(0, 0, 1, 0, 0, 2)), whole(2), whole(2 + n), whole(-1)),
            "dense": lambda: self.turned(lambda y: add("MatMul", y, self.normal(c, c)), x),
            "layer norm": lambda: self.turned(lambda y: add("LayerNormalization", y, self.normal(c), axis=-1), x),
            "last": lambda: self.turned(lambda y: add("Tanh", add("Add", y, self.normal(c))), x),
            "group norm": lambda: add(
                "Reshape", add("InstanceNormalization", add("Reshape", x, whole(0, 4, -1)), *group), whole(1, c, n)
            ),
            "rigid": lambda: add("CumSum", x, self.constant(2, np.int64)),
        }
        return kinds[list(kinds)[self.rng.integers(len(kinds))]]()

    def model(self, steps=9):
        values = ["x"]
        for _ in range(steps):
            source = values[-1] if self.rng.random() < 0.7 else self.rng.choice(values)
            values.append(self.step(source, self.rng.choice(values)))
        outputs = {
            "y": self.add("Identity", values[-1]),
            "p": self.add("ReduceMean", values[-1], self.whole(2), keepdims=0),
            "z": self.rng.choice(values[1:]),
        }
        self.nodes += [onnx.helper.make_node("Identity", [value], [name], name=name) for name, value in outputs.items()]
        flat, value = [1, CHANNELS, LENGTH], onnx.helper.make_tensor_value_info
        ends = [value(name, onnx.TensorProto.FLOAT, flat[: 3 - (name == "p")]) for name in outputs]
        x = value("x", onnx.TensorProto.FLOAT, flat)
        graph = onnx.helper.make_graph(self.nodes, "random", [x], ends, self.constants)
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def kinds(proto):
    return [node.op_type for node in proto.graph.node]


@pytest.mark.parametrize("block", range(4))
def test_random_series_compute_what_they_did(block):
    lifted = 0
    for seed in range(block * 30, block * 30 + 30):
        proto = Program(seed).model()
        x = np.random.default_rng(seed).normal(size=(1, CHANNELS, LENGTH)).astype("float32")
        expected, images = run_as_written(proto, x), passed(proto, conv1d_as_conv2d)
        for name, y in run_as_written(images, x).items():
            np.testing.assert_allclose(y, expected[name], rtol=0, atol=2e-5 * max(1, np.abs(expected[name]).max()))
        ranks = {len(tensor.dims) for tensor in images.graph.initializer if tensor.name.endswith("/kernel")}
        assert ranks <= {4}, seed
        lifted += bool(ranks)
    assert lifted > 12


def series(*nodes, shape=(1, 16, 8), output=(1, 16, 8), **constants):
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(op, inputs.split(), [y], name=y, **more) for op, inputs, y, more in nodes],
        "g",
        [value("x", onnx.TensorProto.FLOAT, shape)],
        [value("y", onnx.TensorProto.FLOAT, output)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


@pytest.mark.parametrize(
    ("channels", "group", "lifts"), [(16, 1, True), (24, 1, False), (24, 24, True), (8, 8, True), (32, 2, True)]
)
def test_a_convolution_is_lifted_where_it_gains(channels, group, lifts):
    kernel = np.ones((channels, channels // group, 3), np.float32)
    shape = (1, channels, 8)
    proto = series(
        ("Conv", "x w", "v", {"pads": [1, 1], "group": group}),
        ("Relu", "v", "y", {}),
        w=kernel,
        shape=shape,
        output=shape,
    )
    expected = ["Unsqueeze", "Conv", "Relu", "Squeeze"] if lifts else ["Conv", "Relu"]
    assert kinds(passed(proto, conv1d_as_conv2d)) == expected


def test_what_no_convolution_gains_from_stays_and_a_chain_is_turned_once():
    kernel = np.ones((16, 16, 1), np.float32)
    proto = series(
        ("Transpose", "x", "t", {"perm": [0, 2, 1]}),
        ("Conv", "t w", "a", {}),
        ("Relu", "a", "b", {}),
        ("Conv", "b w", "c", {}),
        ("Add", "c b", "d", {}),
        ("Transpose", "d", "e", {"perm": [0, 2, 1]}),
        ("LayerNormalization", "e g", "f", {}),
        ("Add", "f e", "y", {}),
        w=kernel,
        g=np.ones(16, np.float32),
        shape=(1, 8, 16),
        output=(1, 8, 16),
    )
    images = passed(proto, conv1d_as_conv2d)
    assert kinds(images) == [
        *("Unsqueeze", "Transpose", "Conv", "Relu", "Conv", "Add", "Transpose", "Squeeze"),
        *("LayerNormalization", "Add"),
    ]
    assert sum(len(tensor.dims) == 4 for tensor in images.graph.initializer) == 1, "a shared kernel is stored once"


@pytest.mark.parametrize(
    ("shape", "perm", "moves"),
    [
        ((1, 1, 1, 8), [0, 3, 1, 2], False),
        ((1, 4, 1, 8), [0, 2, 1, 3], False),
        (("n", 1, 8), [0, 2, 1], False),
        (("n", "m", 1), [0, 2, 1], False),
        ((1, "m", "k", 1), [0, 3, 1, 2], True),
        ((1, 2, 2, 8), [0, 3, 1, 2], True),
    ],
)
def test_a_transpose_that_moves_nothing_is_a_reshape(shape, perm, moves):
    turned = [shape[axis] for axis in perm]
    proto = series(("Transpose", "x", "y", {"perm": perm}), shape=shape, output=turned)
    rest = passed(proto, transpose_as_reshape)
    assert kinds(rest) == (["Transpose"] if moves else ["Reshape"])
    x = np.random.default_rng(0).normal(size=[n if isinstance(n, int) else 3 for n in shape]).astype("float32")
    np.testing.assert_array_equal(run_as_written(rest, x)["y"], x.transpose(perm))


@pytest.mark.parametrize(
    ("target", "kept"), [((1, 1, 1, 8), True), ((0, 1, 1, 8), True), ((-1, 1, 1, 8), True), ((1, 8, 1, 1), False)]
)
def test_a_reduction_keeps_the_axes_that_come_back(target, kept):
    proto = series(
        ("ReduceMean", "x a", "m", {"keepdims": 0}),
        ("Reshape", "m s", "y", {}),
        a=np.array([1, 2]),
        s=np.array(target),
        shape=(1, 3, 3, 8),
        output=(1, *target[1:]),
    )
    rest = passed(proto, reduce_without_reshape)
    assert kinds(rest) == (["ReduceMean"] if kept else ["ReduceMean", "Reshape"])
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 8)).astype("float32")
    np.testing.assert_allclose(run_as_written(rest, x)["y"], x.mean((1, 2)).reshape(1, *target[1:]), atol=1e-6)
