"""What Keras and TensorFlow write otherwise than tf2onnx knows it, mended in the graph before it is converted."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf
from tensorflow.core.framework import function_pb2, graph_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from ....saved_model.frozen_graph import XLA_MARK

_BRANCHES = {"If": 1, "StatelessIf": 1, "While": 0, "StatelessWhile": 0}  # the first input that their functions get


def let_inline(path: Path) -> None:
    """Drop the marks that keep a function apart for XLA; Keras puts one around each grouped convolution.

    tf2onnx does not inline a marked function: it leaves a call in the file, which is then no valid ONNX.
    """
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for meta in saved.meta_graphs:
        nodes = list(meta.graph_def.node)
        for function in meta.graph_def.library.function:
            function.attr.pop(XLA_MARK, None)
            nodes.extend(function.node_def)
        for node in nodes:
            node.attr.pop(XLA_MARK, None)
    path.write_bytes(saved.SerializeToString(deterministic=True))


def add_states(definition: graph_pb2.GraphDef) -> None:
    """Undo what Keras makes of an addition in a recurrent layer at batch 1, where (1, units) looks like a bias.

    BiasAdd(x, Squeeze(y)) is x + y; tf2onnx knows an LSTM or GRU by the plain addition only, and writes a loop else.
    """
    for function in definition.library.function:
        squeezed = {f"{n.name}:output:0": n.input[0] for n in function.node_def if n.op == "Squeeze"}
        renamed = {}
        for node in function.node_def:
            if node.op == "BiasAdd" and node.input[1] in squeezed and node.attr["data_format"].s in (b"", b"NHWC"):
                node.op, node.input[1] = "AddV2", squeezed[node.input[1]]
                node.attr.pop("data_format", None)
                renamed[f"{node.name}:output:0"] = f"{node.name}:z:0"
        for node in function.node_def:
            for i, name in enumerate(node.input):
                node.input[i] = renamed.get(name, name)
        for result, name in function.ret.items():
            function.ret[result] = renamed.get(name, name)


def tell_branches_shapes(definition: graph_pb2.GraphDef) -> None:
    """Write into each branch what its caller knows of its arguments: tf2onnx takes the condition for the first."""
    functions = {function.signature.name: function for function in definition.library.function}
    nodes = [*definition.node, *(node for function in functions.values() for node in function.node_def)]
    if not any(node.op in _BRANCHES for node in nodes):
        return
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        todo = [graph]
        while todo:
            for operation in todo.pop().get_operations():
                first = _BRANCHES.get(operation.type)
                for value in operation.node_def.attr.values() if first is not None else ():
                    for name in {value.func.name, *(function.name for function in value.list.func)} & functions.keys():
                        _tell_shapes(functions[name], [tensor.shape for tensor in operation.inputs[first:]])
                        todo.append(function_def_to_graph(functions[name]))


def _tell_shapes(function: function_pb2.FunctionDef, shapes: list[tf.TensorShape]) -> None:
    """Arguments of unknown rank get theirs of `shapes`."""
    for i, shape in enumerate(shapes):
        known = function.arg_attr[i].attr["_output_shapes"].list.shape
        if not known or known[0].unknown_rank:
            del known[:]
            known.add().CopyFrom(shape.as_proto())
