"""Tables of embeddings in 8 bits, which ONNX Runtime's quantizer leaves in float.

    y = Gather(T, ids)    becomes    y = DequantizeLinear(Gather(q, ids), s),    T[i, c] = s_c * q[i, c]

Each column has a scale of its own, s_c = max|T[:, c]| / 127. DequantizeLinear takes one scale for each index of an axis
from opset 13 on.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

_LEAST = 1024  # numbers; of a smaller table the scales save nothing
_SINCE = 13


def tables_in_eight_bits(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with each float table of two axes, whose rows alone are read, in 8 bits. Changes `model` itself."""
    graph = model.graph
    if next((entry.version for entry in model.opset_import if entry.domain == ""), 0) < _SINCE:
        return model
    tables = {tensor.name: tensor for tensor in graph.initializer if _is_table(tensor)}
    readers: dict[str, list[onnx.NodeProto]] = {name: [] for name in tables}
    for node in graph.node:
        for name in node.input:
            if name in readers:
                readers[name].append(node)
    for name, nodes in readers.items():
        if nodes and all(node.op_type == "Gather" and _takes_rows(node) and node.input[0] == name for node in nodes):
            _narrow(graph, tables[name], nodes)
    return model


def _is_table(tensor: onnx.TensorProto) -> bool:
    numbers = int(np.prod(tensor.dims))
    return tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2 and numbers >= _LEAST


def _takes_rows(node: onnx.NodeProto) -> bool:
    return all(attribute.i == 0 for attribute in node.attribute if attribute.name == "axis")


def _narrow(graph: onnx.GraphProto, tensor: onnx.TensorProto, readers: list[onnx.NodeProto]) -> None:
    table = numpy_helper.to_array(tensor)
    scale = np.abs(table).max(axis=0) / 127
    scale[scale == 0] = 1.0
    steps = np.round(table / scale).astype(np.int8)
    for values, what in ((steps, "steps"), (scale.astype(np.float32), "scale")):
        graph.initializer.append(numpy_helper.from_array(values, f"{tensor.name}/{what}"))
    for node in readers:
        result = node.output[0]
        node.input[0], node.output[0] = f"{tensor.name}/steps", f"{result}/steps"
        inputs = [node.output[0], f"{tensor.name}/scale"]
        wide = helper.make_node("DequantizeLinear", inputs, [result], f"{node.name}/wide", axis=-1)
        graph.node.insert(list(graph.node).index(node) + 1, wide)
    graph.initializer.remove(tensor)
