"""TensorFlow's operations that tf2onnx does not know, or converts so that they compute something else: `HANDLERS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx

from ....saved_model.transposed_padding import CUT
from .tf2onnx_imports import Select, arithmetic, convolutions


def _erfc(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """erfc(x) = 1 - erf(x): exact GELU uses it, and tf2onnx does not know it."""
    one = context.make_const(f"{name}/one", np.array(1.0, np.float32))
    shape, dtype = context.get_shape(node.output[0]), context.get_dtype(node.output[0])
    context.remove_node(name)
    erf = context.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[dtype])
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype]
    )


def _log1p(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """log(1 + x): Keras' logaddexp uses it, and ONNX has no such operator."""
    _with_one(context, node, name, lambda x, one: ("Log", [context.make_node("Add", [x, one]).output[0]]))


def _expm1(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """exp(x) - 1: Keras' celu uses it, and ONNX has no such operator."""
    _with_one(context, node, name, lambda x, one: ("Sub", [context.make_node("Exp", [x]).output[0], one]))


def _with_one(context: Any, node: Any, name: str, form: Callable[[str, str], tuple[str, list[str]]]) -> None:
    """In the place of a node of one input, the last operator and its inputs that `form` says of that input and of 1."""
    shape, dtype, x = context.get_shape(node.output[0]), context.get_dtype(node.output[0]), node.input[0]
    context.remove_node(name)
    one = context.make_const(f"{name}/one", np.array(1.0, onnx.helper.tensor_dtype_to_np_dtype(dtype)))
    kind, inputs = form(x, one.output[0])
    context.make_node(kind, inputs, name=name, outputs=node.output, shapes=[shape], dtypes=[dtype])


_INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def _floor_mod(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """The remainder with the sign of the divisor: the converter takes integers to be divided downwards, not to zero."""
    if context.get_dtype(node.input[0]) not in _INTEGERS:
        arithmetic.FloorMod.version_7(context, node)
        return
    node.type = "Mod"
    node.set_attr("fmod", 0)


def _floor_div(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """floor(x / y) of integers = (x - x mod y) / y."""
    if context.get_dtype(node.input[0]) not in _INTEGERS:
        arithmetic.FloorDiv.version_6(context, node)
        return
    shape, dtype, (x, y) = context.get_shape(node.output[0]), context.get_dtype(node.output[0]), node.input
    context.remove_node(name)
    rest = context.make_node("Mod", [x, y], attr={"fmod": 0}).output[0]
    whole = context.make_node("Sub", [x, rest]).output[0]
    context.make_node("Div", [whole, y], name=name, outputs=node.output, shapes=[shape], dtypes=[dtype])


def _where(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """Where, which takes nothing of the side that was not chosen: the converter's own c x + (1 - c) y takes NaN."""
    if context.get_dtype(node.output[0]) == onnx.TensorProto.BOOL:  # ONNX Runtime has no kernel for it
        Select.version_7(context, node)
        return
    node.set_attr("handles_nan", 1)
    Select.version_9(context, node)
    del node.attr["handles_nan"]


def _bucketize(context: Any, node: Any, name: str, _arguments: Any) -> None:
    """The number of boundaries that x is not below; the layer Discretization uses it, and tf2onnx does not know it."""
    boundaries = np.array(node.get_attr_value("boundaries"), np.float32)
    shape, dtype, x = context.get_shape(node.output[0]), context.get_dtype(node.output[0]), node.input[0]
    context.remove_node(name)
    last, limits = context.make_const(f"{name}/last", np.array([-1])), context.make_const(f"{name}/limits", boundaries)
    if context.get_dtype(x) != onnx.TensorProto.FLOAT:
        x = context.make_node("Cast", [x], attr={"to": onnx.TensorProto.FLOAT}).output[0]
    x = context.make_node("Unsqueeze", [x, last.output[0]]).output[0]
    above = context.make_node("GreaterOrEqual", [x, limits.output[0]]).output[0]
    ones = context.make_node("Cast", [above], attr={"to": dtype}).output[0]
    context.make_node(
        "ReduceSum",
        [ones, last.output[0]],
        attr={"keepdims": 0},
        name=name,
        outputs=node.output,
        shapes=[shape],
        dtypes=[dtype],
    )


def _transposed(context: Any, node: Any, _name: str, _arguments: Any) -> None:
    """A transposed convolution that was told what it cuts off: the converter works that out where it knows all sizes.

    Elsewhere it gives the size of the result, of which ONNX cuts off more in front than TensorFlow does, or slices.
    """
    cut = node.get_attr_value(CUT)
    if cut is None:
        convolutions.ConvTranspose.version_11(context, node)
        return
    spatial, front = len(cut), [int(rows / 2) for rows in cut]
    del node.attr[CUT]
    node.type = "ConvTranspose"
    convolutions.conv_kernel_shape(context, node, 1, spatial=spatial)
    node.set_attr("pads", [*front, *(rows - some for rows, some in zip(cut, front, strict=True))])
    node.set_attr("auto_pad", "NOTSET")
    for name in ("strides", "dilations"):
        convolutions.conv_dims_attr(node, name, spatial=spatial)
    _, kernel, image, *bias = node.input  # tf2onnx has put a bias into it by now
    context.replace_inputs(node, [image, kernel, *bias])
    convolutions.conv_convert_inputs(context, node, with_kernel=True, spatial=spatial, quantization_axis=1)


HANDLERS: dict[str, tuple[Callable[[Any, Any, str, Any], None], list[str]]] = {
    "Bucketize": (_bucketize, []),
    "Conv2DBackpropInput": (_transposed, []),
    "Conv3DBackpropInputV2": (_transposed, []),
    "Erfc": (_erfc, []),
    "Expm1": (_expm1, []),
    "FloorDiv": (_floor_div, []),
    "FloorMod": (_floor_mod, []),
    "Log1p": (_log1p, []),
    "Select": (_where, []),
    "SelectV2": (_where, []),
}
