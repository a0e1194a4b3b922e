"""Artifacts as a stranger might send them, most for a model of one input `v` of 4 numbers and one output `out` of 3."""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import helper, numpy_helper

value = helper.make_tensor_value_info


def _save(path, nodes, constants):
    ends = [value("v", 1, ["N", 4])], [value("out", 1, ["N", 3])]
    graph = helper.make_graph(nodes, "g", *ends, [numpy_helper.from_array(a, name) for name, a in constants.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def looping_file(path):
    """An .onnx file that runs a Loop of 2^62 turns."""
    same = [helper.make_node("Identity", [a], [b]) for a, b in (("go", "on"), ("x", "y"))]
    turn = [value("i", 7, []), value("go", 9, []), value("x", 1, None)]
    body = helper.make_graph(same, "body", turn, [value("on", 9, []), value("y", 1, None)])
    fixed = {"n": np.array(2**62), "true": np.array(True), "zero": np.zeros((1, 3), "float32")}
    return _save(path, [helper.make_node("Loop", list(fixed), ["out"], body=body)], fixed)


def greedy_file(path, numbers):
    """An .onnx file that fills so many numbers on its way, and returns their mean."""
    ones = [("rows", numbers // 1000), ("columns", 1000)]
    fixed = {name: np.array([size]) for name, size in ones} | {"axes": np.array([0, 1]), "shape": np.array([1, 3])}
    return _save(
        path,
        [
            helper.make_node("ReduceMean", ["v", "axes"], ["one"], keepdims=1),
            helper.make_node("Concat", ["rows", "columns"], ["size"], axis=0),
            helper.make_node("Expand", ["one", "size"], ["many"]),
            helper.make_node("ReduceMean", ["many", "axes"], ["mean"], keepdims=1),
            helper.make_node("Expand", ["mean", "shape"], ["out"]),
        ],
        fixed,
    )


def crashing_file(source, path):
    """A copy of a .tflite file whose operations all claim to be SLICE."""
    model = flatbuffer_utils.read_model(str(source))
    for code in model.operatorCodes:
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SLICE
    flatbuffer_utils.write_model(model, str(path))


def string_file(path):
    """An .onnx file whose output is text."""
    node = helper.make_node("Cast", ["v"], ["out"], to=onnx.TensorProto.STRING)
    graph = helper.make_graph([node], "g", [value("v", 1, ["N", 4])], [value("out", 8, ["N", 4])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path
