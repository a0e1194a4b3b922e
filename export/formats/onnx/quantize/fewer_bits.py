"""A float ONNX file with some weights in 16, 8 or 4 bits, and all arithmetic in float32.

    16   float16 -> Cast -> w
     8   int8 -> Cast -> Mul, a scale for each output channel -> w, which ONNX Runtime computes once, when it loads the
         file. Behind DequantizeLinear it would round what MatMul multiplies to 8 bits too, and lose 2 dB
     4   int4 likewise, from opset 21; but behind DequantizeLinear for MatMul, in a kernel that is faster, and whose
         rounding does not count beside that of 4 bits

What takes the place of a constant has its name, so that loops and branches that read it need no change. Convolutions
and dense layers have weights that are rounded for what the calibration data give: see `grid.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ....model.layer_names import layer_of_result
from ....model.user_inputs import Arrays
from ....progress import Progress, silent
from ....quantization.grid import in_bits, packed
from ....quantization.stored_weights import EXAMPLES, FEWEST, FLOAT, Weight
from ..nested_graphs import all_nodes
from .multiplied import attribute, moments

_INT4_SINCE = 21


class FewerBits:
    """`StoredWeights` of an ONNX file; `examples` are inputs, in the file's order, that the rounding is made for."""

    def __init__(
        self, model: onnx.ModelProto, examples: list[Arrays], layers: Collection[str], say: Progress = silent
    ) -> None:
        self._model = model
        readers = {name: node for node in reversed(list(all_nodes(model))) for name in node.input}
        found = [w for w in model.graph.initializer if w.name in readers and _is_large(w)]
        self._readers = {weight.name: readers[weight.name] for weight in found}
        self._values = {weight.name: numpy_helper.to_array(weight) for weight in found}
        shapes = {weight.name: tuple(weight.dims) for weight in found}
        self._moments = moments(model, self._readers, shapes, examples[:EXAMPLES], say)
        opset = next(entry.version for entry in model.opset_import if not entry.domain)
        bits = (FLOAT, 16, 8, 4) if opset >= _INT4_SINCE else (FLOAT, 16, 8)
        self.weights = tuple(
            Weight(layer_of_result(self._readers[w.name].output[0], layers), w.name, tuple(w.dims), bits) for w in found
        )
        self._rounded: dict[tuple[str, int], tuple[np.ndarray, np.ndarray, int]] = {}

    def write(self, bits: Mapping[int, int], target: Path) -> None:
        chosen = {self.weights[i].name: (i, width) for i, width in bits.items() if width != FLOAT}
        made = onnx.ModelProto()
        made.CopyFrom(self._model)
        kept = [weight for weight in made.graph.initializer if weight.name not in chosen]
        nodes = list(made.graph.node)
        del made.graph.initializer[:], made.graph.node[:]
        made.graph.initializer.extend(kept)
        for i, width in chosen.values():
            self._store(made.graph, i, width)
        made.graph.node.extend(nodes)
        target.write_bytes(made.SerializeToString(deterministic=True))

    def _store(self, graph: onnx.GraphProto, position: int, bits: int) -> None:
        name, new = self.weights[position].name, f"w{position}"  # names take room too
        stored, scaled = f"{new}_{'float' if bits == 16 else 'int'}{bits}", f"{new}_scale"
        if bits == 16:
            graph.initializer.append(numpy_helper.from_array(self._values[name].astype(np.float16), stored))
            graph.node.append(helper.make_node("Cast", [stored], [name], new, to=onnx.TensorProto.FLOAT))
            return
        steps, scale, axis = self._steps(name, bits)
        graph.initializer.append(_integers(steps, bits, stored))
        if bits == 4 and self._readers[name].op_type == "MatMul":
            graph.initializer.append(numpy_helper.from_array(scale, scaled))
            graph.node.append(helper.make_node("DequantizeLinear", [stored, scaled], [name], new, axis=axis))
            return
        along = scale.reshape([-1 if i == axis else 1 for i in range(steps.ndim)])
        graph.initializer.append(numpy_helper.from_array(along, scaled))
        graph.node.append(helper.make_node("Cast", [stored], [f"{new}_steps"], new, to=onnx.TensorProto.FLOAT))
        graph.node.append(helper.make_node("Mul", [f"{new}_steps", scaled], [name], f"{new}_scaled"))

    def _steps(self, name: str, bits: int) -> tuple[np.ndarray, np.ndarray, int]:
        if (name, bits) not in self._rounded:
            values, node, moments = self._values[name], self._readers[name], self._moments.get(name)
            axis = _axis(node, name, values.ndim)
            rows = np.moveaxis(values, axis, 0)
            if by_patches := node.op_type == "Conv" and moments is not None:
                rows = rows.transpose(0, 2, 3, 1)  # channels last, as the patches have them
            steps, scale = in_bits(rows.reshape(len(rows), -1), bits, moments)
            steps = steps.reshape(rows.shape)
            steps = steps.transpose(0, 3, 1, 2) if by_patches else steps
            self._rounded[name, bits] = np.ascontiguousarray(np.moveaxis(steps, 0, axis)), scale, axis
        return self._rounded[name, bits]


def _is_large(weight: onnx.TensorProto) -> bool:
    floats = weight.data_type == onnx.TensorProto.FLOAT
    return floats and len(weight.dims) > 1 and int(np.prod(weight.dims)) >= FEWEST


def _integers(steps: np.ndarray, bits: int, name: str) -> onnx.TensorProto:
    if bits == 8:
        return numpy_helper.from_array(steps, name)
    return helper.make_tensor(name, onnx.TensorProto.INT4, steps.shape, packed(steps).tobytes(), raw=True)


def _axis(node: onnx.NodeProto, name: str, rank: int) -> int:
    """The axis along which each index has a scale of its own: that of output channels."""
    if node.op_type == "Conv" or node.op_type == "Gather":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm" and name == node.input[1]:
        return 0 if attribute(node, "transB", 0) else 1
    return rank - 1
