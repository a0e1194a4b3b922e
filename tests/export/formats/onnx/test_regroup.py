"""Shuffles of pixels and channels, and transposes around recurrent operators: the same values, fewer operations."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from onnx_files import chain, counted, passed, run_as_written

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.layout import settle_layout  # noqa: E402
from keras_norms.export.formats.onnx.passes.pixel_shuffle_op import (  # noqa: E402
    insert_pixel_shuffles,
    write_pixel_shuffles,
)
from keras_norms.export.formats.onnx.passes.recurrent_transposes import merge_transposes  # noqa: E402

L = keras.layers
PLAIN = ["Reshape", "Transpose", "Reshape"]
TURNED = ["Transpose", "Conv", *PLAIN, "Transpose"]
IN_DEPTH = ["Transpose", "Conv", "DepthToSpace", "Transpose"]
IN_SPACE = ["Transpose", "Conv", "SpaceToDepth", "Transpose"]


def graph(nodes, constants, shape):
    body = onnx.helper.make_graph(
        [onnx.helper.make_node(op, inputs, [f"v{n}"], **more) for n, (op, inputs, more) in enumerate(nodes)],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, shape)],
        [onnx.helper.make_tensor_value_info(f"v{len(nodes) - 1}", 1, None)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return onnx.helper.make_model(body, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


def same_values(rest, proto, shape):
    x = np.random.default_rng(0).normal(size=[n if isinstance(n, int) else 2 for n in shape]).astype("float32")
    (got,), (expected,) = (run_as_written(p, x).values() for p in (rest, proto))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


# sizes between the Reshapes, permutation, sizes behind, and what it is behind a convolution
SHUFFLES = {
    "depth to space": ([4, 6, 2, 2, 3], [0, 1, 3, 2, 4, 5], [8, 12, 3], IN_DEPTH),
    "the same, channels outside": ([4, 6, 3, 2, 2], [0, 1, 4, 2, 5, 3], [8, 12, 3], IN_DEPTH),
    "space to depth": ([2, 2, 3, 2, 12], [0, 1, 3, 2, 4, 5], [2, 3, 48], IN_SPACE),
    "blocks that are no squares": ([4, 6, 2, 3, 2], [0, 1, 3, 2, 4, 5], [8, 18, 2], TURNED),
    "nor squares, channels outside": ([4, 6, 2, 2, 3], [0, 1, 4, 2, 5, 3], [8, 18, 2], TURNED),
    "depth to space, columns first": ([4, 6, 2, 2, 3], [0, 1, 4, 2, 3, 5], [8, 12, 3], TURNED),
    "channels": ([4, 6, 3, 4], [0, 1, 2, 4, 3], [4, 6, 12], TURNED),
    "rows": ([2, 2, 6, 12], [0, 2, 1, 3, 4], [4, 6, 12], TURNED),
}


@pytest.mark.parametrize("case", SHUFFLES)
@pytest.mark.parametrize("convolution", [True, False])
def test_a_shuffle_runs_in_the_layout_around_it(case, convolution):
    between, perm, behind, left = SHUFFLES[case]
    constants = {"a": np.array([-1, *between]), "b": np.array([-1, *behind])}
    nodes = [
        ("Transpose", ["x"], {"perm": [0, 3, 1, 2]}),
        ("Conv", ["v0", "w"], {}),
        ("Transpose", ["v1"], {"perm": [0, 2, 3, 1]}),
    ]
    constants["w"] = np.random.default_rng(1).normal(size=(12, 12, 1, 1)).astype("float32")
    nodes, x = (nodes, "v2") if convolution else ([], "x")
    n = len(nodes)
    nodes += [("Reshape", [x, "a"], {}), ("Transpose", [f"v{n}"], {"perm": perm}), ("Reshape", [f"v{n + 1}", "b"], {})]
    shape = ["batch", 4, 6, 12]
    proto = graph(nodes, constants, shape)
    rest = passed(proto, insert_pixel_shuffles, settle_layout, write_pixel_shuffles)
    assert [node.op_type for node in rest.graph.node] == (left if convolution else PLAIN)
    same_values(rest, proto, shape)


@pytest.mark.parametrize(
    ("first", "sizes", "second", "left"),
    [
        ([0, 3, 1, 2], [-1, 5, 12], [1, 0, 2], ["Transpose", "Reshape"]),
        ([0, 3, 2, 1], [2, -1, 12], [1, 0, 2], ["Transpose", "Reshape"]),
        ([0, 3, 1, 2], [-1, 5, 12], [0, 2, 1], [*PLAIN[1:], "Transpose"]),  # moves what was merged
        ([0, 3, 1, 2], [-1, 15, 4], [1, 0, 2], [*PLAIN[1:], "Transpose"]),  # merges others
        ([0, 3, 1, 2], [5, -1, 12], [1, 0, 2], [*PLAIN[1:], "Transpose"]),  # regroups the batch
    ],
)
def test_a_transpose_moves_over_axes_that_are_merged(first, sizes, second, left):
    nodes = [
        ("Transpose", ["x"], {"perm": first}),
        ("Reshape", ["v0", "to"], {}),
        ("Transpose", ["v1"], {"perm": second}),
    ]
    shape = [2, 3, 4, 5]
    proto = graph(nodes, {"to": np.array(sizes)}, shape)
    rest = passed(proto, merge_transposes)
    assert [node.op_type for node in rest.graph.node] == left
    same_values(rest, proto, shape)


def test_a_transpose_stays_where_the_size_of_what_is_merged_is_free():
    """A Reshape leaves one size to be found out, and here that is the batch's."""
    nodes = [
        ("Transpose", ["x"], {"perm": [0, 3, 1, 2]}),
        ("Reshape", ["v0", "to"], {}),
        ("Transpose", ["v1"], {"perm": [1, 0, 2]}),
    ]
    proto = graph(nodes, {"to": np.array([0, 0, -1])}, ["batch", "rows", 4, 5])
    rest = passed(proto, merge_transposes)
    assert [node.op_type for node in rest.graph.node] == ["Transpose", "Reshape", "Transpose"]


@pytest.mark.runtime
@pytest.mark.parametrize("cell", [L.LSTM, L.GRU])
@pytest.mark.parametrize("batch", [None, 2])
def test_two_directions_twice_have_no_shape_arithmetic(cell, batch, tmp_path):
    layers = [L.Bidirectional(cell(3, return_sequences=True)) for _ in range(2)]
    to_onnx(chain((5, 4), *layers), tmp_path / "m.onnx", batch_size=batch)
    found = counted(tmp_path / "m.onnx")
    assert not {"Shape", "Expand", "Gather", "ReverseSequence", "Loop"} & set(found)
    if cell is L.LSTM:
        assert found == {"Transpose": 3, "LSTM": 2, "Reshape": 2}


@pytest.mark.runtime
def test_text_in_an_image_is_turned_once_before_it_is_read(tmp_path):
    model = chain(
        (8, 20, 3),
        L.Conv2D(4, 3),
        L.Permute((2, 1, 3)),
        L.Reshape((18, 24)),
        L.LSTM(3, return_sequences=True),
        L.Dense(2),
    )
    to_onnx(model, tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["Transpose"] == 3, "the image, the columns, and time behind the batch"
