"""One-dimensional convolutions: TensorFlow runs them on images one row high, ONNX has them as they are.

Squeeze(Conv2D(Unsqueeze(x)))  ->  Conv1D(x)        and whatever stands between that works on each element
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import (
    array_of,
    constant,
    input_of,
    integer_list,
    new_constant,
    rank_of,
    reduced_axes,
    replace,
    set_integers,
)
from .pass_types import PassOptions
from .skips import skip

_SPATIAL = ("AveragePool", "Conv", "ConvTranspose", "MaxPool")
_UNARY = ("Elu", "Identity", "LeakyRelu", "Relu", "Sigmoid", "Tanh")
_ALONG = ("dilations", "kernel_shape", "output_padding", "output_shape", "strides")
_RANK = 4  # of an image


def drop_unit_height(model: ir.Model, _options: PassOptions) -> None:
    """Push each Squeeze up to the Unsqueeze that it undoes, through convolutions whose kernels are one row high."""
    narrowed = _Narrow(model.graph)
    for node in [node for node in model.graph if node.op_type == "Squeeze"]:
        axis = _single_axis(node, node.inputs[0])
        if axis is None:
            skip(node, "it does not take one axis away from four")
        elif not _can_narrow(node.inputs[0], axis):
            skip(node, "on the way to where its axis came in something needs it")
        else:
            replace(node.outputs[0], narrowed.narrow(input_of(node, 0), axis))


def _single_axis(node: ir.Node, image: ir.Value | None) -> int | None:
    """The axis that a Squeeze or an Unsqueeze takes from, or puts into, `image`."""
    axes = reduced_axes(node)
    return axes[0] % _RANK if axes is not None and len(axes) == 1 and rank_of(image) == _RANK else None


def _can_narrow(value: ir.Value | None, axis: int) -> bool:
    """Whether the axis, of one element, can be taken out of all that makes `value`."""
    node = value.producer() if value is not None else None
    if node is None:
        return False
    if node.op_type == "Unsqueeze":
        return _single_axis(node, node.outputs[0]) == axis
    if node.op_type == "Transpose":
        return _can_narrow(node.inputs[0], integer_list(node, "perm")[axis])
    if node.op_type in _UNARY:
        return _can_narrow(node.inputs[0], axis)
    if node.op_type == "Add":
        array = constant(node.inputs[1])
        place = 0 if array is None else array.ndim - _RANK + axis  # of the axis in the array
        return array is not None and (place < 0 or array.shape[place] == 1) and _can_narrow(node.inputs[0], axis)
    return axis == 2 and _one_row_high(node) and _can_narrow(node.inputs[0], axis)


def _one_row_high(node: ir.Node) -> bool:
    """Whether `node` is a convolution or a pool that looks at one row at a time."""
    if node.op_type not in _SPATIAL or len(node.outputs) > 1:
        return False
    weights = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if len(node.inputs) > 1 and (weights is None or weights.ndim != _RANK or weights.shape[2] != 1):
        return False
    rows = [integer_list(node, name, [1, 1])[0] for name in ("kernel_shape", "strides")]
    pads = integer_list(node, "pads", [0, 0, 0, 0])
    return rows == [1, 1] and pads[0] == pads[2] == 0


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
            return input_of(node, 0)
        new = ir.node(node.op_type, list(node.inputs), dict(node.attributes), name=node.name)
        perm = integer_list(node, "perm") if node.op_type == "Transpose" else []
        before = perm[axis] if perm else axis
        new.replace_input_with(0, self.narrow(input_of(node, 0), before))
        if perm:
            set_integers(new, "perm", [i - (i > before) for i in perm if i != before])
        elif node.op_type == "Add":
            array = array_of(node.inputs[1])
            if array.ndim >= _RANK - axis:
                narrow = array.squeeze(array.ndim - _RANK + axis)
                new.replace_input_with(1, new_constant(self._graph, narrow, f"{node.name}/series"))
        elif node.op_type in _SPATIAL:
            self._narrow_spatial(new)
        old = node.outputs[0]
        new.outputs[0].name, new.outputs[0].type = f"{old.name}/series", old.type
        if old.shape is not None:
            new.outputs[0].shape = ir.Shape([n for i, n in enumerate(old.shape) if i != axis])
        node.append(new)
        return new.outputs[0]

    def _narrow_spatial(self, node: ir.Node) -> None:
        for name in _ALONG:
            if name in node.attributes:
                set_integers(node, name, integer_list(node, name)[1:])
        if "pads" in node.attributes:
            set_integers(node, "pads", integer_list(node, "pads")[1::2])
        if len(node.inputs) > 1:
            kernel = array_of(node.inputs[1]).squeeze(2)
            node.replace_input_with(1, new_constant(self._graph, kernel, f"{node.name}/kernel"))
