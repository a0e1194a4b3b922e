"""The graphs of an ONNX file: the main one, and those of its loops, branches and functions."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every operation of the file."""
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def all_weights(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every constant of the file, as an initializer or as the value of a Constant."""
    for graph in _graphs(model):
        yield from graph.initializer
    for node in all_nodes(model):
        yield from (attribute.t for attribute in node.attribute if attribute.type == onnx.AttributeProto.TENSOR)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    todo = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while todo or nodes:
        if todo:
            graph = todo.pop()
            yield graph
            nodes += graph.node
        for attribute in nodes.pop().attribute if nodes else ():
            todo += [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else attribute.graphs
