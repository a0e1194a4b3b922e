"""A TFLite file that needs some of TensorFlow's own kernels, run without the Flex delegate.

TensorFlow's package ships that delegate no more (since 2.20), and LiteRT's never did. Here its work is done in steps:
the operations that are built in run in LiteRT, each stretch of them as a file of its own, and every Flex operation runs
TensorFlow's kernel for the node that the file holds.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils

from ...errors import ExportError
from ...model.signature import Spec
from ...worker.quiet import quiet_stderr


def flex_ops(path: Path) -> list[str]:
    """The TensorFlow operations that a file needs, none for most."""
    model = flatbuffer_utils.read_model(os.fspath(path))
    return sorted({name.removeprefix("Flex") for name in map(_custom, model.operatorCodes) if name.startswith("Flex")})


def _custom(code: Any) -> str:
    return (code.customCode or b"").decode()


class FlexRunner:
    """A file with Flex operations; the same interface as a `TFLiteRunner`."""

    def __init__(self, path: Path) -> None:
        self._model = flatbuffer_utils.read_model(os.fspath(path))
        if len(self._model.subgraphs) > 1 or not self._model.signatureDefs:
            raise ExportError(f"'{path}' has TensorFlow operations beside control flow, which cannot be verified here.")
        graph, entry = self._model.subgraphs[0], self._model.signatureDefs[0]
        self._input_index = {m.name.decode(): int(m.tensorIndex) for m in entry.inputs}
        self._output_index = {m.name.decode(): int(m.tensorIndex) for m in entry.outputs}
        self.inputs = tuple(self._spec(name, graph.tensors[i]) for name, i in self._input_index.items())
        self.outputs = tuple(self._output_index)
        self._steps = [self._step(operators) for operators in self._stretches()]

    def _spec(self, name: str, tensor: Any) -> Spec:
        sizes = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
        shape = tuple(None if size < 0 else int(size) for size in sizes)
        return Spec(name, shape, flatbuffer_utils.type_to_name(tensor.type).lower())

    def _is_flex(self, operator: Any) -> bool:
        return _custom(self._model.operatorCodes[operator.opcodeIndex]).startswith("Flex")

    def _stretches(self) -> list[list[Any]]:
        """The operators in their order: each Flex one alone, those between two together."""
        stretches: list[list[Any]] = []
        for operator in self._model.subgraphs[0].operators:
            if self._is_flex(operator) or not stretches or self._is_flex(stretches[-1][0]):
                stretches.append([operator])
            else:
                stretches[-1].append(operator)
        return stretches

    def _step(self, operators: list[Any]) -> Any:
        made = {int(i) for operator in operators for i in operator.outputs}
        taken = {int(i) for operator in operators for i in operator.inputs if i >= 0} - made
        taken = {i for i in taken if not self._is_constant(i)}
        if self._is_flex(operators[0]):
            return _TensorFlowNode(self._model, operators[0], self._constants(operators[0]))
        return _Stretch(self._model, operators, sorted(taken), sorted(made))

    def _is_constant(self, index: int) -> bool:
        return self._model.buffers[self._model.subgraphs[0].tensors[index].buffer].data is not None

    def _constants(self, operator: Any) -> dict[int, np.ndarray]:
        found = {}
        for index in (int(i) for i in operator.inputs if i >= 0 and self._is_constant(int(i))):
            tensor = self._model.subgraphs[0].tensors[index]
            dtype = flatbuffer_utils.type_to_name(tensor.type).lower()
            data = bytes(self._model.buffers[tensor.buffer].data)
            found[index] = np.frombuffer(data, dtype).reshape(tensor.shape if tensor.shape is not None else ())
        return found

    def run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = self._values(arrays)
        return {name: values[index] for name, index in self._output_index.items()}

    def tensors(self, arrays: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
        """(name, value) of every float result of every operation, in the order they run."""
        values, tensors = self._values(arrays), self._model.subgraphs[0].tensors
        made = [int(i) for operator in self._model.subgraphs[0].operators for i in operator.outputs]
        return [(tensors[i].name.decode(), values[i]) for i in made if values[i].dtype.kind == "f"]

    def _values(self, arrays: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
        values = {self._input_index[name]: array for name, array in arrays.items()}
        for step in self._steps:
            values.update(step.run(values))
        return values


class _Stretch:
    """Operations that are built in, as a file of their own in LiteRT."""

    def __init__(self, model: Any, operators: list[Any], inputs: list[int], outputs: list[int]) -> None:
        part = copy.copy(model)
        part.subgraphs = [copy.copy(model.subgraphs[0])]
        part.subgraphs[0].operators = operators
        part.subgraphs[0].inputs, part.subgraphs[0].outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        part.signatureDefs = None
        content = bytes(flatbuffer_utils.convert_object_to_bytearray(part))
        with quiet_stderr():
            self._interpreter = Interpreter(
                model_content=content,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
        self._inputs, self._outputs = inputs, outputs

    def run(self, values: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        for index in self._inputs:
            self._interpreter.resize_tensor_input(index, values[index].shape)
        self._interpreter.allocate_tensors()
        for index in self._inputs:
            self._interpreter.set_tensor(index, values[index])
        self._interpreter.invoke()
        return {index: self._interpreter.get_tensor(index) for index in self._outputs}


class _TensorFlowNode:
    """One Flex operation, by TensorFlow's kernel."""

    def __init__(self, model: Any, operator: Any, constants: dict[int, np.ndarray]) -> None:
        import tensorflow as tf
        from flatbuffers import flexbuffers

        # The operation's name, then its node, which is no text though it is stored as one.
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
