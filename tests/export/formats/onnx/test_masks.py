"""Masks and lookups in fewer operations, where that computes the same, and as they were where it would not."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes.pass_types import PassOptions  # noqa: E402
from keras_norms.export.formats.onnx.passes.simplify_where import simplify_where  # noqa: E402
from onnx_files import run_as_written  # noqa: E402
from onnx_ir.passes import common  # noqa: E402

SIZES = (2, 3, 4)
MASKED = ("Where", ["c", "x", "far"])
SPREAD = [("Shape", ["x"]), ("Expand", ["yes", "v0"]), ("And", ["v1", "c"])]
LOOKUP = [
    ("Cast", ["i"], {"to": 1}),
    ("Less", ["v0", "zero"]),
    ("Add", ["i", "rows"]),
    ("Where", ["v1", "v2", "i"]),
    ("Gather", ["table", "v3"]),
]
# nodes, whose outputs are v0, v1, ..., the constants that are not the usual ones, and what is left
CASES = {
    "masked scores": ([MASKED], {}, ["Where", "Add"]),
    "a number that x is not small beside": ([MASKED], {"far": np.float32(-1e9)}, ["Where"]),
    "an infinity": ([MASKED], {"far": np.float32(-np.inf)}, ["Where"]),
    "a mask as large as x": ([("Where", ["whole", "x", "far"])], {}, ["Where"]),
    "masked by what x is": ([("Where", ["c", "far", "x"])], {}, ["Where"]),
    "spread over x": ([*SPREAD, ("Where", ["v2", "x", "one"])], {}, ["Where"]),
    "spread, not over x": ([*SPREAD, ("Where", ["v2", "whole_x", "one"])], {}, ["Shape", "Expand", "And", "Where"]),
    "spread zeros": (
        [*SPREAD, ("Where", ["v2", "x", "one"])],
        {"yes": np.array(False)},
        ["Shape", "Expand", "And", "Where"],
    ),
    "twice the same": ([("Or", ["c", "c"]), ("Where", ["v0", "x", "one"])], {}, ["Where"]),
    "lookup": (LOOKUP, {}, ["Gather"]),
    "lookup that counts otherwise": (LOOKUP, {"rows": np.int64(2)}, ["Cast", "Less", "Add", "Where", "Gather"]),
    "lookup from another place": (LOOKUP, {"zero": np.float32(-1)}, ["Cast", "Less", "Add", "Where", "Gather"]),
}


@pytest.mark.parametrize("case", CASES)
def test_choices(case):
    steps, others, left = CASES[case]
    rng = np.random.default_rng(0)
    constants = {
        "far": np.float32(-1e30),
        "one": np.float32(1),
        "yes": np.array(True),
        "zero": np.float32(0),
        "rows": np.int64(3),
        "level": np.float32(0.2),
        "table": rng.normal(size=(3, 2)).astype("float32"),
        "first": np.array([0, 1]),
        "last": np.array([1, 2]),
        "axes": np.array([1, 2]),
        "copies": np.array([1, 1, 1]),
        **others,
    }
    node = onnx.helper.make_node
    nodes = [
        node("Greater", ["x", "level"], ["whole"]),
        node("Slice", ["whole", "first", "last", "axes"], ["c"]),
        node("Tile", ["x", "copies"], ["whole_x"]),
        node("Cast", ["x"], ["i"], to=7),
    ]
    for n, (op_type, inputs, *attributes) in enumerate(steps):
        nodes.append(node(op_type, inputs, [f"v{n}"], **(attributes[0] if attributes else {})))
    nodes.append(node("Identity", [f"v{len(steps) - 1}"], ["y"]))
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [info("x", 1, ["batch", *SIZES[1:]])],
        [info("y", 1, None)],
        [onnx.numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    model = ir.from_proto(proto)
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
    simplify_where(model, PassOptions())
    common.RemoveUnusedNodesPass()(model)
    kept = [n.op_type for n in model.graph if str(n.outputs[0].name) not in ("whole", "c", "whole_x", "i", "y")]
    assert kept == left
    x = rng.uniform(-3, 3, SIZES).astype("float32")
    rest = ir.to_proto(model)
    np.testing.assert_array_equal(run_as_written(rest, x)["y"], run_as_written(proto, x)["y"])
