"""How much a transposed convolution cuts off of what it makes: the converter to ONNX is told, for it cannot find out.

Along an axis, with n rows, steps s, and a kernel that reaches over k = (size - 1) dilation + 1 rows, the operation
makes (n - 1) s + k rows, and cuts off

    k - s                     padding "same"
    2 floor(k / 2) - p        padding "same" with output_padding p
    k - max(k, s)             padding "valid"
    -p                        padding "valid" with output_padding p

half of them in front, where that is no integer one less there than behind. Less than none: it adds rows of zeros
behind. None of this depends on n, but TensorFlow's operation is told the size of its result alone, and where n is free,
or lost on the way into a file, that size does not say what is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2

CUT = "_rows_cut"  # TensorFlow carries attributes that begin so along, and reads none of them
_OPERATIONS = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")


def rows_cut(size: int, step: int, padding: str, output_padding: int | None, dilation: int) -> int:
    """The rows that are cut off along one axis."""
    reach = (size - 1) * dilation + 1
    if padding.lower() == "valid":
        return reach - max(reach, step) if output_padding is None else -output_padding
    return reach - step if output_padding is None else 2 * (reach // 2) - output_padding


def tell_cut(y: Any, cut: Sequence[int]) -> None:
    """Write `cut` onto the operation in the graph that made `y`; that of rows is one of images of height 1."""
    operation = None if tf.executing_eagerly() else getattr(y, "op", None)
    if operation is not None and operation.type == "Squeeze":
        operation = operation.inputs[0].op
    if operation is not None and operation.type in _OPERATIONS:
        listed = attr_value_pb2.AttrValue.ListValue(i=[0, *cut] if len(cut) == 1 else cut)
        operation._set_attr(CUT, attr_value_pb2.AttrValue(list=listed))
