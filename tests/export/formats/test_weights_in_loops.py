"""Weights and operations that lie in the loops and branches of a file count like those in its main graph."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx, to_tflite, verify
from keras_norms.export.formats import format_of
from models import randomize

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def recurrent():
    x = keras.Input((6, 16), name="x")
    return randomize(keras.Model(x, keras.layers.SimpleRNN(48, name="y")(x)))


@pytest.mark.runtime
@pytest.mark.parametrize("mode", ["dynamic", "float16"])
def test_a_tflite_file_whose_weights_lie_in_a_loop_is_known_as_quantized(mode, recurrent, tmp_path):
    path = tmp_path / "m.tflite"
    report = to_tflite(recurrent, path, quantize=mode, batch_size=1)
    assert format_of(path).quantized_as(path) == mode
    assert not [warning for warning in report.warnings if "nothing was quantized" in warning]
    assert verify(recurrent, path).quantized == mode


@pytest.mark.runtime
def test_a_loop_is_quantized_to_dynamic_onnx(recurrent, tmp_path):
    """What the loop takes is quantized behind it; the operations must come in the order in which they run."""
    x = keras.Input((6, 16), name="x")
    y = keras.layers.Dense(32, name="y")(keras.layers.TimeDistributed(keras.layers.Dense(16))(x))
    y = keras.layers.SimpleRNN(48, name="z")(y)
    report = to_onnx(randomize(keras.Model(x, y)), tmp_path / "m.onnx", quantize="dynamic")
    assert report.verification.quantized == "dynamic"
    assert {"Loop", "Tanh", "MatMulInteger"} <= set(report.ops), "the operations of the loop too"


BRANCH = """
<ir_version: 8, opset_import: ["" : 17]>
main (bool go, float[2] x) => (float[2] y) {{
    y = If (go) <
        then_branch = yes () => (float[2] a) {{ {nodes} }},
        else_branch = no () => (float[2] b) {{ b = Identity (x) }}
    >
}}
"""
KINDS = {
    "float16": ("w = Constant <value = float16[2] {1, 2}> ()  v = Cast <to = 1> (w)  a = Mul (x, v)", "float16"),
    "int8": (
        "s = Constant <value = float {0.1}> ()  q = QuantizeLinear (x, s)  a = DequantizeLinear (q, s)",
        "int8",
    ),
    "dynamic": ("q, s, z = DynamicQuantizeLinear (x)  a = DequantizeLinear (q, s, z)", "dynamic"),
    "float32": ("w = Constant <value = float[2] {1, 2}> ()  a = Mul (x, w)", None),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["a branch", "a function of a branch", "a branch of a function"])
def test_an_onnx_file_is_read_to_its_innermost_graph(kind, where, tmp_path):
    nodes, mode = KINDS[kind]
    model = onnx.parser.parse_model(BRANCH.format(nodes=nodes))
    if where == "a branch of a function":
        function = model.functions.add(name="f", domain="own", input=["go", "x"], output=["y"])
        function.node.extend(model.graph.node)
        del model.graph.node[:]
        model.graph.node.append(onnx.helper.make_node("f", ["go", "x"], ["y"], domain="own"))
    elif where == "a function of a branch":
        (branch,) = [a.g for a in model.graph.node[0].attribute if a.name == "then_branch"]
        function = model.functions.add(name="f", domain="own", output=["a"])
        function.node.extend(branch.node)
        del branch.node[:]
        branch.node.append(onnx.helper.make_node("f", [], ["a"], domain="own"))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    assert format_of(path).quantized_as(path) == mode
    assert {"If", "Identity", nodes.split("=")[-1].split("(")[0].strip()} <= set(format_of(path).op_counts(path))


def test_an_initializer_of_a_branch_is_a_weight(tmp_path):
    model = onnx.parser.parse_model(BRANCH.format(nodes="a = Mul (x, w)"))
    (branch,) = [a.g for a in model.graph.node[0].attribute if a.name == "then_branch"]
    branch.initializer.append(onnx.numpy_helper.from_array(np.ones(2, "float16"), "w"))
    onnx.save(model, tmp_path / "m.onnx")
    assert format_of(tmp_path / "m.onnx").quantized_as(tmp_path / "m.onnx") == "float16"
