"""Names in an ONNX file are those of the model's layers, without the counters of the process that converted it."""

import onnx
import onnx_ir as ir
import pytest
from keras_norms.export.formats.onnx.passes.tidy_names import layer_path, tidy


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("StatefulPartitionedCall/net/conv/Conv2D__12:0", "net/conv/Conv2D"),
        ("PartitionedCall_3/net/conv/Conv2D", "net/conv/Conv2D"),
        ("net/conv__2d/Conv2D__7", "net/conv__2d/Conv2D"),
        ("net/conv/Conv2D", "net/conv/Conv2D"),
        (None, "node"),
    ],
)
def test_a_name_is_the_path_of_its_layer(name, path):
    assert layer_path(name) == path


def test_two_runs_of_the_converter_give_the_same_names():
    """They differ by the counters alone; two nodes of one layer are told apart by their order."""

    def names(first, second):
        model = onnx.parser.parse_model("""
            <ir_version: 8, opset_import: ["" : 17]>
            net (float[1] x) => (float[1] y) { a = Relu(x)  y = Neg(a) }
        """)
        for node, number in zip(model.graph.node, (first, second), strict=True):
            node.name = f"PartitionedCall/net/act__{number}"
        graph = ir.from_proto(model)
        tidy(graph)
        return [node.name for node in graph.graph]

    assert names(3, 8) == names(41, 97) == ["net/act", "net/act_1"]
