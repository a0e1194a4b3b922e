"""Group norm in an .onnx graph with channels first and last: exact in both, and either where it costs less."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

import onnxruntime  # noqa: E402
from keras_norms.export.formats.onnx.passes.group_norm_op import (  # noqa: E402
    GroupNorm,
    insert_group_norm,
    write_group_norms,
)
from keras_norms.export.formats.onnx.passes.layout import settle_layout  # noqa: E402
from keras_norms.export.formats.onnx.passes.pass_types import PassOptions  # noqa: E402
from onnx_ir.passes import common  # noqa: E402

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]
EPSILON = 1e-3


def normalized(shape, groups, affine, either=True, opset=18, convolution=False):
    """Transpose, the norm, perhaps a convolution, Transpose; as what the layout makes of it."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [node("Transpose", ["x"], ["t"], name="t", perm=TO_FIRST), node("Relu", ["t"], ["u"], name="u")]
    nodes += [node("Conv", ["u", "w"], ["v"], name="v")] if convolution else []
    nodes += [node("Transpose", ["v" if convolution else "u"], ["y"], name="y", perm=TO_LAST)]
    ends = [value(name, onnx.TensorProto.FLOAT, shape) for name in "xy"]
    kernel = onnx.numpy_helper.from_array(np.eye(shape[3], dtype=np.float32)[..., None, None], "w")
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [kernel])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8)
    model = ir.from_proto(proto)
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
    graph = model.graph
    relu = graph[1]
    to = [np.array([0, groups, -1]), np.array([0, shape[3], *shape[1:3]])]
    to = [_constant(graph, array, f"to{i}") for i, array in enumerate(to)]
    norm = GroupNorm(groups, shape[3], EPSILON, *affine, either)
    y = insert_group_norm(relu, relu.inputs[0], to, norm, "norm")
    relu.outputs[0].replace_all_uses_with(y)
    common.RemoveUnusedNodesPass()(model)
    settle_layout(model, PassOptions())
    write_group_norms(model, PassOptions())
    common.RemoveUnusedNodesPass()(model)
    for i, each in enumerate(graph):
        each.name = f"n{i}"
        for one in each.outputs:
            if not one.is_graph_output():
                one.name, one.shape = f"v{i}", None
    result = ir.to_proto(model)
    onnx.checker.check_model(result, full_check=True)
    return result


def _constant(graph, array, name):
    value = ir.Value(name=name, const_value=ir.tensor(array, name=name))
    value.shape, value.dtype = ir.Shape(array.shape), ir.DataType.INT64
    graph.register_initializer(value)
    return value


def run(proto, x, level="DISABLE_ALL"):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_{level}")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def oracle(x, groups, gamma, beta):
    wide = x.astype("float64").reshape(len(x), -1, groups, x.shape[-1] // groups)
    mean, variance = wide.mean((1, 3), keepdims=True), wide.var((1, 3), keepdims=True)
    y = ((wide - mean) / np.sqrt(variance + EPSILON)).reshape(x.shape)
    return y * (1 if gamma is None else gamma) + (0 if beta is None else beta)


def kinds(proto):
    return [node.op_type for node in proto.graph.node]


SHAPES = {"one row": ((1, 16, 16, 256), 32), "rows": ((2, 40, 36, 24), 8), "instances": ((1, 49, 7, 192), 192)}
FILLS = {
    "random": lambda x: (x, 4e-6),
    "far from zero": lambda x: (x + 40000, 4e-6),
    "four values": lambda x: (np.floor(np.abs(x) % 4) + 40000, 4e-6),
    "constant": lambda x: (np.full_like(x, 1234), 4e-6),
    "constant, far": lambda x: (np.full_like(x, 1e6), 4e-6),
    "a bright first row": lambda x: (np.where(np.arange(x.shape[1])[:, None, None] == 0, 1000, x / 100), 4e-5),
}


@pytest.mark.parametrize("level", ["DISABLE_ALL", "ENABLE_ALL"])
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("case", SHAPES)
def test_both_layouts_are_exact(case, fill, level):
    (shape, groups), rng = SHAPES[case], np.random.default_rng(0)
    x, bound = FILLS[fill](rng.normal(0.3, 1, shape).astype("float32"))
    x = x.astype("float32")
    gamma, beta = rng.uniform(-1.5, 1.5, shape[3]).astype("float32"), rng.normal(size=shape[3]).astype("float32")
    for affine in ((gamma, beta), (None, beta), (gamma, None), (None, None)) if fill == "random" else ((gamma, beta),):
        last, first = (normalized(shape, groups, affine, either) for either in (True, False))
        assert kinds(last).count("MatMul") == 3
        assert kinds(last).count("Transpose") == 0
        assert kinds(first).count("Transpose") == 2
        expected = oracle(x, groups, *affine)
        for proto in (last, first):
            np.testing.assert_allclose(
                run(proto, x, level), expected, rtol=0, atol=bound * np.abs(expected).max() + 4e-6
            )


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_one_group_keeps_what_it_has_to_itself(bad):
    shape, groups = SHAPES["one row"]
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    x[0, 3, 4, 9] = bad  # of the second group of eight
    y, clean = run(normalized(shape, groups, (None, None)), x), oracle(np.nan_to_num(x, posinf=0), groups, None, None)
    assert np.isnan(y[..., 8:16]).all()
    np.testing.assert_allclose(np.delete(y, range(8, 16), 3), np.delete(clean, range(8, 16), 3), rtol=0, atol=2e-5)


def test_the_layout_is_the_cheaper_one():
    large, small, narrow = (1, 16, 16, 256), (1, 8, 8, 256), (1, 1, 16411, 4)
    assert "MatMul" in kinds(normalized(large, 32, (None, None)))
    assert "MatMul" in kinds(normalized(large, 32, (None, None), opset=13))
    assert "MatMul" not in kinds(normalized(large, 32, (None, None), convolution=True))
    assert "MatMul" not in kinds(normalized(small, 32, (None, None)))
    assert "MatMul" not in kinds(normalized(narrow, 2, (None, None)))
