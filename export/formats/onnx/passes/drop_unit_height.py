"""One-dimensional convolutions: TensorFlow runs them on images one row high, ONNX has them as they are."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, new_constant, replace

_SPATIAL = ("AveragePool", "Conv", "ConvTranspose", "MaxPool")
_UNARY = ("Elu", "Identity", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
_ALONG = ("dilations", "kernel_shape", "output_padding", "output_shape", "strides")


def series_without_height(graph: ir.Graph) -> None:
    """Push each Squeeze up to the Unsqueeze that it undoes, through convolutions whose kernels are one row high."""
    narrowed = _Narrow(graph)
    for node in list(graph):
        axis = _single_axis(node) if node.op_type == "Squeeze" else None
        if axis is not None and _can_narrow(node.inputs[0], axis):
            replace(node.outputs[0], narrowed.narrow(node.inputs[0], axis))  # type: ignore[arg-type]


def _single_axis(node: ir.Node) -> int | None:
    axes = attribute(node, "axes")
    array = constant(node.inputs[1]) if axes is None and len(node.inputs) > 1 else axes
    value = node.inputs[0] if node.op_type == "Squeeze" else node.outputs[0]
    if array is None or np.size(array) != 1 or value is None or value.shape is None or len(value.shape) != 4:
        return None
    return int(np.reshape(array, -1)[0]) % 4


def _can_narrow(value: ir.Value | None, axis: int) -> bool:
    """Whether the axis, of one element, can be taken out of all that makes `value`."""
    node = value.producer() if value is not None else None
    if node is None:
        return False
    if node.op_type == "Unsqueeze":
        return _single_axis(node) == axis
    if node.op_type == "Transpose":
        return _can_narrow(node.inputs[0], attribute(node, "perm")[axis])
    if node.op_type in _UNARY:
        return _can_narrow(node.inputs[0], axis)
    if node.op_type == "Add":
        array = constant(node.inputs[1])
        return (
            array is not None
            and (array.ndim < 4 - axis or array.shape[array.ndim - 4 + axis] == 1)
            and _can_narrow(node.inputs[0], axis)
        )
    if node.op_type not in _SPATIAL or axis != 2 or len(node.outputs) > 1:
        return False
    weights = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if len(node.inputs) > 1 and (weights is None or weights.ndim != 4 or weights.shape[2] != 1):
        return False
    rows = [attribute(node, name, [1, 1])[0] for name in ("kernel_shape", "strides")]
    pads = attribute(node, "pads", [0, 0, 0, 0])
    return rows == [1, 1] and pads[0] == pads[2] == 0 and _can_narrow(node.inputs[0], axis)


class _Narrow:
    """Makes the nodes without the axis beside those with it, which go when nothing uses them."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._made: dict[tuple[ir.Value, int], ir.Value] = {}  # several convolutions may take one value

    def narrow(self, value: ir.Value, axis: int) -> ir.Value:
        if (value, axis) not in self._made:
            self._made[value, axis] = self._narrow(value, axis)
        return self._made[value, axis]

    def _narrow(self, value: ir.Value, axis: int) -> ir.Value:
        node = value.producer()
        assert node is not None
        if node.op_type == "Unsqueeze":
            return node.inputs[0]  # type: ignore[return-value]
        attributes = dict(node.attributes)
        inputs = list(node.inputs)
        if node.op_type == "Transpose":
            perm = list(attribute(node, "perm"))
            inputs[0] = self.narrow(inputs[0], perm[axis])  # type: ignore[arg-type]
            kept = [i - (i > perm[axis]) for i in perm if i != perm[axis]]
            attributes["perm"] = ir.AttrInt64s("perm", kept)
        else:
            inputs[0] = self.narrow(inputs[0], axis)  # type: ignore[arg-type]
        if node.op_type == "Add":
            array = constant(inputs[1])
            if array is not None and array.ndim >= 4 - axis:
                inputs[1] = new_constant(self._graph, array.squeeze(array.ndim - 4 + axis), f"{node.name}/series")
        if node.op_type in _SPATIAL:
            for name in _ALONG:
                if name in attributes:
                    attributes[name] = ir.AttrInt64s(name, attribute(node, name)[1:])
            if "pads" in attributes:
                attributes["pads"] = ir.AttrInt64s("pads", attribute(node, "pads")[1::2])
            if len(inputs) > 1:
                inputs[1] = new_constant(self._graph, constant(inputs[1]).squeeze(2), f"{node.name}/kernel")  # type: ignore[union-attr]
        new = ir.node(node.op_type, inputs, attributes, name=node.name)
        old = node.outputs[0]
        new.outputs[0].name, new.outputs[0].type = f"{old.name}/series", old.type
        if old.shape is not None:
            new.outputs[0].shape = ir.Shape([n for i, n in enumerate(old.shape) if i != axis])
        node.append(new)
        return new.outputs[0]
