"""Einsum and dense layers become one product of matrices, between reshapes only where sizes ask for them."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.dense_without_reshapes import dense_without_reshapes
from keras_norms.export.formats.onnx.passes.drop_reshapes import drop_reshapes
from keras_norms.export.formats.onnx.passes.einsum_as_matmul import einsum_as_matmul
from keras_norms.export.formats.onnx.passes.fold_shapes import fold_shapes
from onnx_files import run_as_written
from onnx_graphs import changed, graph


def test_shapes_that_two_free_sizes_hang_on_vanish_from_a_dense_layer():
    proto = graph(
        [
            ("Shape", ["x"], ["s"], {}),
            ("Cast", ["s"], ["t"], {"to": 6}),
            ("Gather", ["t", "two"], ["u"], {"axis": 0}),
            ("Concat", ["u", "five"], ["v"], {"axis": 0}),
            ("Cast", ["v"], ["w"], {"to": 7}),
            ("Reshape", ["x", "rows"], ["r"], {}),
            ("MatMul", ["r", "kernel"], ["m"], {}),
            ("Reshape", ["m", "w"], ["y"], {}),
        ],
        {
            "two": np.array([0, 1], np.int64),
            "five": np.array([5], np.int32),
            "rows": np.array([-1, 3], np.int64),
            "kernel": np.arange(15, dtype=np.float32).reshape(3, 5),
        },
        ["batch", "time", 3],
        ["batch", "time", 5],
    )
    rest = changed(proto, dense_without_reshapes, fold_shapes, drop_reshapes)
    assert [node.op_type for node in rest.graph.node] == ["MatMul"]
    x = np.random.default_rng(0).normal(size=(2, 7, 3)).astype("float32")
    np.testing.assert_array_equal(run_as_written(rest, x)["y"], run_as_written(proto, x)["y"])


@pytest.mark.parametrize("target", [[0, 3, 5], [-1, 5]])
def test_a_dense_layer_that_regroups_its_rows_keeps_its_reshapes(target):
    nodes = [
        ("Reshape", ["x", "rows"], ["r"], {}),
        ("MatMul", ["r", "kernel"], ["m"], {}),
        ("Reshape", ["m", "to"], ["y"], {}),
    ]
    constants = {"rows": np.array([-1, 4], np.int64), "kernel": np.ones((4, 5), np.float32), "to": np.array(target)}
    rest = changed(
        graph(nodes, constants, [2, 3, 4] if len(target) < 3 else [2, 6, 2], None),
        dense_without_reshapes,
    )
    assert [node.op_type for node in rest.graph.node] == ["Reshape", "MatMul", "Reshape"]


@pytest.mark.parametrize(
    "equation", ["aecd,abcd->acbe", "acbe,aecd->abcd", "abc,acd->abd", "abc,abd->acd", "ab,cb->ac", "abc,adc->adb"]
)
def test_einsum_becomes_one_matmul(equation):
    a, b, result = equation.replace("->", ",").split(",")
    sizes = dict(zip("abcde", (2, 3, 4, 5, 6), strict=True))
    w = np.random.default_rng(1).normal(size=[sizes[i] for i in b]).astype("float32")
    shape = [sizes[i] for i in a]
    proto = graph([("Einsum", ["x", "w"], ["y"], {"equation": equation})], {"w": w}, shape, [sizes[i] for i in result])
    rest = changed(proto, einsum_as_matmul)
    kinds = {node.op_type for node in rest.graph.node}
    assert "Einsum" not in kinds
    assert kinds <= {"MatMul", "Transpose"}
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    np.testing.assert_allclose(run_as_written(rest, x)["y"], np.einsum(equation, x, w), atol=1e-5)


@pytest.mark.parametrize("equation", ["abc,cde->abde", "abcd,cde->abe", "abcd,dce->abe", "ab,cbd->acd"])
def test_einsum_with_a_kernel_is_a_product_between_reshapes_at_any_free_size(equation):
    a, b = equation.partition("->")[0].split(",")
    sizes = dict(zip("abcde", (2, 3, 4, 5, 6), strict=True))
    w = np.random.default_rng(1).normal(size=[sizes[i] for i in b]).astype("float32")
    free = ["batch" if i == "a" else "time" if i not in b else sizes[i] for i in a]
    proto = graph([("Einsum", ["x", "w"], ["y"], {"equation": equation})], {"w": w}, free, None)
    rest = changed(proto, einsum_as_matmul)
    regrouped = len(b) > 2
    assert sorted(node.op_type for node in rest.graph.node) == ["MatMul", *["Reshape"] * regrouped]
    x = np.random.default_rng(0).normal(size=[sizes[i] for i in a]).astype("float32")
    np.testing.assert_allclose(run_as_written(rest, x)["y"], np.einsum(equation, x, w), atol=1e-5)


@pytest.mark.parametrize("equation", ["abc,abc->ab", "acbd,cde->abe", "abc,cde->adbe", "ab,cd->abcd", "aab,bc->ac"])
def test_einsum_of_another_kind_stays(equation):
    a, b, result = equation.replace("->", ",").split(",")
    w = np.ones([2] * len(b), np.float32)
    proto = graph([("Einsum", ["x", "w"], ["y"], {"equation": equation})], {"w": w}, [2] * len(a), [2] * len(result))
    rest = changed(proto, einsum_as_matmul)
    assert [node.op_type for node in rest.graph.node] == ["Einsum"]
