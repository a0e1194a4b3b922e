"""What stands beside a convolution and can be part of it: a bias, padding."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.bias_into_convolution import bias_into_convolution
from keras_norms.export.formats.onnx.passes.padding_into_convolution import padding_into_convolution
from onnx_files import run_as_written
from onnx_graphs import changed, graph


@pytest.mark.parametrize(
    ("shape", "merged"), [((1, 5, 1, 1), True), ((5, 1, 1), True), ((1,), True), ((1, 1, 4, 4), False)]
)
def test_a_bias_goes_into_its_convolution_if_it_is_one(shape, merged):
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(5, 3, 1, 1)).astype("float32"), "b": rng.normal(size=shape).astype("float32")}
    nodes = [("Conv", ["x", "w"], ["v"], {}), ("Add", ["v", "b"], ["y"], {})]
    proto = graph(nodes, constants, [1, 3, 4, 4], [1, 5, 4, 4])
    rest = changed(proto, bias_into_convolution)
    assert [node.op_type for node in rest.graph.node] == (["Conv"] if merged else ["Conv", "Add"])
    x = rng.normal(size=(1, 3, 4, 4)).astype("float32")
    np.testing.assert_allclose(run_as_written(rest, x)["y"], run_as_written(proto, x)["y"], atol=1e-5)


@pytest.mark.parametrize(
    ("pads", "value", "merged"),
    [
        ([0, 0, 1, 0, 0, 0, 2, 3], None, True),
        ([0, 0, 1, 1, 0, 0, 1, 1], 0.0, True),
        ([0, 0, 1, 1, 0, 0, 1, 1], 1.0, False),
        ([0, 1, 1, 1, 0, 0, 1, 1], 0.0, False),
        ([0, 0, -1, 1, 0, 0, 1, 1], 0.0, False),
    ],
)
def test_padding_goes_into_its_convolution_if_it_is_zeros_around_the_image(pads, value, merged):
    rng = np.random.default_rng(0)
    channels = 3 + pads[1]
    constants = {"p": np.array(pads), "w": rng.normal(size=(5, channels, 3, 3)).astype("float32")}
    if value is not None:
        constants["c"] = np.float32(value)
    nodes = [
        ("Pad", ["x", "p", "c"][: 2 + (value is not None)], ["v"], {}),
        ("Conv", ["v", "w"], ["y"], {"pads": [1, 0, 0, 2], "strides": [2, 1]}),
    ]
    size = lambda i, stride, own: (6 + pads[2 + i] + pads[6 + i] + own - 3) // stride + 1  # noqa: E731
    proto = graph(nodes, constants, [1, 3, 6, 6], [1, 5, size(0, 2, 1), size(1, 1, 2)])
    rest = changed(proto, padding_into_convolution)
    assert [node.op_type for node in rest.graph.node] == (["Conv"] if merged else ["Pad", "Conv"])
    x = rng.normal(size=(1, 3, 6, 6)).astype("float32")
    np.testing.assert_allclose(run_as_written(rest, x)["y"], run_as_written(proto, x)["y"], atol=1e-5)
