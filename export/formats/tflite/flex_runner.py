"""A TFLite file that needs some of TensorFlow's own kernels, run without the Flex delegate.

TensorFlow's package no longer ships that delegate (since 2.20), and LiteRT's never did. So the file is cut into steps
(`flex_steps.py`) that run one after the other: each Flex operation alone, the builtin operations between two of them
together.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from ...errors import ExportError
from ...model.spec import Spec
from .flex_steps import BuiltinStep, Step, TensorFlowStep


def flex_ops(path: Path) -> list[str]:
    """The TensorFlow operations that a file needs; empty for a file of builtin operations.

    It is asked several times for each file, so only the list of operations is read, not all weights.
    """
    model = schema.Model.GetRootAs(path.read_bytes())
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    names = {(code.CustomCode() or b"").decode() for code in codes}
    return sorted(name.removeprefix("Flex") for name in names if name.startswith("Flex"))


def _custom(code: Any) -> str:
    return bytes(code.customCode or b"").decode()


class FlexRunner:
    """A file with Flex operations, as a `formats.protocol.Runner`."""

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
        """The operators in their order: each Flex operator alone, the builtin ones between two of them together."""
        stretches: list[list[Any]] = []
        for operator in self._model.subgraphs[0].operators:
            if self._is_flex(operator) or not stretches or self._is_flex(stretches[-1][0]):
                stretches.append([operator])
            else:
                stretches[-1].append(operator)
        return stretches

    def _step(self, operators: list[Any]) -> Step:
        made = {int(i) for operator in operators for i in operator.outputs}
        taken = {int(i) for operator in operators for i in operator.inputs if i >= 0} - made
        taken = {i for i in taken if not self._is_constant(i)}
        if self._is_flex(operators[0]):
            return TensorFlowStep(self._model, operators[0], self._constants(operators[0]))
        return BuiltinStep(self._model, operators, sorted(taken), sorted(made))

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
