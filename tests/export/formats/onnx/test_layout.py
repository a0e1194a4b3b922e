"""Settling a layout changes storage, never values: random graphs, the cheapest cut, and what the passes leave."""

from itertools import product

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.clean import infer_shapes  # noqa: E402
from keras_norms.export.formats.onnx.passes.layout import settle_layout  # noqa: E402
from keras_norms.export.formats.onnx.passes.min_as_clip import min_as_clip  # noqa: E402
from keras_norms.export.formats.onnx.passes.min_cut import SINK, SOURCE, Cut  # noqa: E402
from keras_norms.export.formats.onnx.passes.pass_types import PassOptions  # noqa: E402
from onnx_files import passed, run_as_written  # noqa: E402
from onnx_graphs import changed  # noqa: E402

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


class Program:
    """Writes a random channels-last graph as a converter would: transposes around every convolution."""

    def __init__(self, seed):
        self.rng, self.nodes, self.constants, self.count = np.random.default_rng(seed), [], [], 0

    def constant(self, values, dtype=np.float32):
        self.count += 1
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(values, dtype), f"c{self.count}"))
        return f"c{self.count}"

    def add(self, op_type, *inputs, outputs=1, **attributes):
        names = [f"v{self.count}_{i}" for i in range(outputs)]
        self.count += 1
        self.nodes.append(onnx.helper.make_node(op_type, list(inputs), names, name=names[0], **attributes))
        return names[0] if outputs == 1 else names

    def convolution(self, x, channels):
        weights = self.constant(self.rng.normal(size=(channels, channels, 3, 3)) / 5)
        y = self.add("Conv", self.add("Transpose", x, perm=TO_FIRST), weights, pads=[1] * 4)
        return self.add("Transpose", y, perm=TO_LAST)

    def step(self, x, others, c):
        normal = self.rng.normal
        kinds = {
            "conv": lambda: self.convolution(x, c),
            "relu": lambda: self.add("Relu", x),
            "bias": lambda: self.add("Add", x, self.constant(normal(size=c))),
            "rows": lambda: self.add("Mul", self.constant(normal(size=(6, 1, 1))), x),
            "merge": lambda: self.add("Add", x, others[self.rng.integers(len(others))]),
            "mean": lambda: self.add("Sub", x, self.add("ReduceMean", x, self.constant([1, 2], np.int64), keepdims=1)),
            "channels": lambda: self.add("Div", x, self.add("ReduceL2", x, self.constant([-1], np.int64), keepdims=1)),
            "softmax": lambda: self.add("Softmax", x, axis=-1),
            "dense": lambda: self.add("MatMul", x, self.constant(normal(size=(c, c)) / 3)),
            "norm": lambda: self.add(
                "LayerNormalization", x, self.constant(normal(size=c)), self.constant(normal(size=c)), axis=-1
            ),
            "concat": lambda: self.add(
                "Slice",
                self.add("Concat", x, others[self.rng.integers(len(others))], axis=3),
                *(self.constant([n], np.int32) for n in (1, 1 + c, 3)),  # TensorFlow's limits are of 32 bits
            ),
            "pad": lambda: self.add(
                "Slice",
                self.add("Pad", x, self.constant([0, 1, 0, 0, 0, 0, 2, 0], np.int64)),
                *(self.constant(n, np.int64) for n in ([1, 2], [7, 8], [1, 2])),
            ),
            "split": lambda: self.add(
                "Concat", *self.add("Split", x, outputs=2, axis=-1, num_outputs=2)[::-1], axis=-1
            ),
            "rigid": lambda: self.add(
                "Reshape",
                self.add("Reshape", x, self.constant([0, 36, c], np.int64)),
                self.constant([0, 6, 6, c], np.int64),
            ),
            "transpose": lambda: self.add("Transpose", x, perm=[0, 2, 1, 3]),
        }
        return kinds[list(kinds)[self.rng.integers(len(kinds))]]()

    def model(self, steps=9, channels=4):
        values = ["x"]
        for _ in range(steps):
            values.append(
                self.step(values[-1] if self.rng.random() < 0.7 else self.rng.choice(values), values, channels)
            )
        pooled = self.add("ReduceMean", values[-1], self.constant([1, 2], np.int64), keepdims=0)
        outputs = {
            "y": self.add("Identity", values[-1]),
            "p": pooled,
            "z": self.add("Identity", self.rng.choice(values)),
        }
        for name, value in outputs.items():
            self.nodes.append(onnx.helper.make_node("Identity", [value], [name], name=name))
        value = onnx.helper.make_tensor_value_info
        image = [1, 6, 6, channels]
        shapes = {"y": image, "p": [1, channels], "z": image}
        graph = onnx.helper.make_graph(
            self.nodes,
            "random",
            [value("x", onnx.TensorProto.FLOAT, image)],
            [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()],
            self.constants,
        )
        return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def transposes(proto):
    return sum(node.op_type == "Transpose" for node in proto.graph.node)


@pytest.mark.parametrize("block", range(6))
def test_random_graphs_compute_what_they_did(block):
    for seed in range(block * 25, block * 25 + 25):
        proto = Program(seed).model()
        x = np.random.default_rng(seed).normal(size=(1, 6, 6, 4)).astype("float32")
        expected = run_as_written(proto, x)
        settled = changed(proto, settle_layout)
        for name, y in run_as_written(settled, x).items():
            np.testing.assert_allclose(y, expected[name], rtol=0, atol=2e-5 * max(1, np.abs(expected[name]).max()))
        assert transposes(settled) <= transposes(proto), seed
        turned = changed(proto, settle_layout, channels_first_io=True)
        got = run_as_written(turned, np.ascontiguousarray(x.transpose(TO_FIRST)))
        for name, y in expected.items():
            want = y.transpose(TO_FIRST) if y.ndim == 4 else y
            np.testing.assert_allclose(got[name], want, rtol=0, atol=2e-5 * max(1, np.abs(y).max()))


def test_a_cut_is_as_cheap_as_any():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        names = [SOURCE, SINK, *range(5)]
        edges = [(a, b, int(rng.integers(1, 9))) for a in names for b in names if a != b and rng.random() < 0.4]
        cut = Cut()
        for edge in edges:
            cut.add(*edge)
        cost = lambda side, edges=edges: sum(c for a, b, c in edges if a in side and b not in side)  # noqa: E731
        sides = [{SOURCE, *(i for i in range(5) if bits[i])} for bits in product((0, 1), repeat=5)]
        found = cut.labels()
        assert SOURCE in found
        assert SINK not in found
        assert cost(found) == min(map(cost, sides))


CAPPED = """<ir_version: 8, opset_import: ["" : 18]>
capped (float[N, H, W, 2] x) => (float[N, H, W, 2] y, float[N, P, Q, 2] z) <float six = {6}> {
    r = Relu(x)
    c = Min(r, six)
    y = Min(c, x)
    t = Transpose <perm = [0, 3, 1, 2]> (x)
    p = MaxPool <kernel_shape = [2, 2]> (t)
    z = Transpose <perm = [0, 2, 3, 1]> (p)
}"""


def forget(name):
    """A pass behind which the rank of a value is not known."""

    def forgetting(model, _options):
        next(v for node in model.graph for v in node.outputs if v.name == name).shape = None

    return forgetting


@pytest.mark.parametrize(("passes", "left"), [((min_as_clip,), 2), ((forget("c"),), 2), ((forget("r"),), 2)])
def test_a_value_of_unknown_rank_stands_where_it_did(passes, left):
    given = onnx.parser.parse_model(CAPPED)
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 2)).astype("float32") * 6
    settled = passed(given, *passes, settle_layout)
    assert sum(node.op_type == "Transpose" for node in settled.graph.node) == left
    got, expected = run_as_written(settled, x), run_as_written(given, x)
    for name in ("y", "z"):
        np.testing.assert_array_equal(got[name], expected[name])


def test_what_takes_the_place_of_a_value_has_its_shape():
    model = ir.from_proto(onnx.parser.parse_model(CAPPED))
    infer_shapes(model)
    min_as_clip(model, PassOptions())
    (clip,) = [node for node in model.graph if node.op_type == "Clip"]
    assert clip.outputs[0].shape == model.graph.inputs[0].shape
