"""The two kinds of steps that a file with Flex operations is run in."""

from __future__ import annotations

import copy
from typing import Any, Protocol

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils

from .interpreter import open_interpreter


class Step(Protocol):
    """A part of a graph."""

    def run(self, values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        """The results of the step by tensor, from the values so far by tensor."""
        ...


class BuiltinStep:
    """Builtin operations, run by LiteRT as a file of their own."""

    def __init__(self, model: Any, operators: list[Any], inputs: list[int], outputs: list[int]) -> None:
        part = copy.copy(model)
        part.subgraphs = [copy.copy(model.subgraphs[0])]
        part.subgraphs[0].operators = operators
        part.subgraphs[0].inputs, part.subgraphs[0].outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        part.signatureDefs = None
        content = bytes(flatbuffer_utils.convert_object_to_bytearray(part))
        self._interpreter = open_interpreter(content, kernels="builtin")
        self._inputs, self._outputs = inputs, outputs

    def run(self, values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        for index in self._inputs:
            self._interpreter.resize_tensor_input(index, values[index].shape)
        self._interpreter.allocate_tensors()
        for index in self._inputs:
            self._interpreter.set_tensor(index, values[index])
        self._interpreter.invoke()
        return {index: self._interpreter.get_tensor(index) for index in self._outputs}


class TensorFlowStep:
    """One Flex operation, run by TensorFlow's kernel: the file holds the NodeDef it was made from."""

    def __init__(self, model: Any, operator: Any, constants: dict[int, np.ndarray]) -> None:
        import tensorflow as tf
        from flatbuffers import flexbuffers

        # A vector of the operation's name and its NodeDef, which is stored as a string but is not text.
        stored = flexbuffers.GetRoot(bytearray(operator.customOptions)).AsVector[1].AsStringBytes
        node = tf.compat.v1.NodeDef.FromString(bytes(stored))
        tensors = model.subgraphs[0].tensors
        self._inputs = [int(i) for i in operator.inputs]
        self._outputs, self._constants = [int(i) for i in operator.outputs], constants
        names = [f"given_{k}" for k in range(len(self._inputs))]
        node.name = "node"
        node.input[:] = names
        with tf.Graph().as_default() as graph:
            kinds = [flatbuffer_utils.type_to_name(tensors[i].type).lower() for i in self._inputs]
            given = [tf.compat.v1.placeholder(kind, name=name) for kind, name in zip(kinds, names, strict=True)]
            definition = graph.as_graph_def()
            definition.node.append(node)
            elements = [f"{node.name}:{k}" for k in range(len(self._outputs))]
            inputs = {f"{name}:0": x for name, x in zip(names, given, strict=True)}
            self._results = tf.import_graph_def(definition, inputs, return_elements=elements, name="flex")
        self._given, self._session = given, tf.compat.v1.Session(graph=graph)

    def run(self, values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        known = {**self._constants, **values}
        feed = {x: known[index] for x, index in zip(self._given, self._inputs, strict=True)}
        return dict(zip(self._outputs, self._session.run(self._results, feed), strict=True))
