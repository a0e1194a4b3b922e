"""Slices that also insert dimensions, such as `mask[:, None, None, :]`, as EXPAND_DIMS.

TensorFlow writes them as one StridedSlice. The converter makes a RESHAPE of it, which can hold one free size; with a
free batch and a free length it would need TensorFlow's own kernel. EXPAND_DIMS takes any shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from .rewrite_saved_model import Node, constant

_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "shrink_axis_mask")


def _mask(node: Node, name: str) -> int:
    """An attribute that is left out where it is 0; to ask for it would make an empty one."""
    return int(node.attr[name].i) if name in node.attr else 0


def apart(node: Node, limits: list[np.ndarray]) -> list[Node] | None:
    """Make `node` the last of a chain, the slice, if it is one, then one dimension after the other; the others of it.

    `limits` are its begin, end and strides. None if it inserts nothing.
    """
    if not _mask(node, "new_axis_mask"):
        return None
    masks = {name: _mask(node, name) for name in (*_MASKS, "new_axis_mask")}
    bit = lambda name, i: bool(masks[name] >> i & 1)  # noqa: E731
    kept = [i for i in range(len(limits[0])) if not bit("new_axis_mask", i) or bit("ellipsis_mask", i)]
    full = lambda i: bit("begin_mask", i) and bit("end_mask", i) and limits[2][i] == 1  # noqa: E731
    whole = lambda i: bit("ellipsis_mask", i) or (full(i) and not bit("shrink_axis_mask", i))  # noqa: E731
    source, waits = node.input[0], [name for name in node.input if name.startswith("^")]
    made = []
    if not all(whole(i) for i in kept):
        slice_ = Node()
        slice_.CopyFrom(node)
        slice_.attr.pop("_output_shapes", None)
        slice_.name, source = f"{node.name}/slice", f"{node.name}/slice:output:0"
        for k, values in enumerate(limits):
            made.append(constant(f"{node.name}/limit_{k}", values[kept]))
            slice_.input[k + 1] = f"{made[-1].name}:output:0"
        for name in _MASKS:
            slice_.attr[name].i = sum(bit(name, i) << place for place, i in enumerate(kept))
        slice_.attr["new_axis_mask"].i = 0
        slice_.attr["Index"].type = tf.as_dtype(limits[0].dtype).as_datatype_enum
        made.append(slice_)
    for step, axis in enumerate(axes := _axes(len(limits[0]), bit)):
        made.append(constant(f"{node.name}/axis_{step}", np.array(axis, np.int32)))
        last = step == len(axes) - 1
        expand = node if last else Node(name=f"{node.name}/expanded_{step}")
        kind = node.attr["T"].type
        expand.op = "ExpandDims"
        expand.attr.clear()
        expand.attr["T"].type, expand.attr["Tdim"].type = kind, tf.int32.as_datatype_enum
        # The name of the output is the one that StridedSlice has, so that users of the last need no change.
        expand.input[:] = [source, f"{made[-1].name}:output:0", *(waits if last else ())]
        source = f"{expand.name}:output:0"
        if not last:
            made.append(expand)
            node.attr["T"].type = kind
    return made


def _axes(count: int, bit: Any) -> list[int]:
    """The dimensions to insert one by one: those before an ellipsis from the front, those behind it from the back."""
    ellipsis = next((i for i in range(count) if bit("ellipsis_mask", i)), count)
    inserted = lambda i: bit("new_axis_mask", i)  # noqa: E731
    stays = lambda i: inserted(i) or not bit("shrink_axis_mask", i)  # noqa: E731
    front = [sum(map(stays, range(i))) for i in range(ellipsis) if inserted(i)]
    back = [-1 - sum(map(stays, range(i + 1, count))) for i in range(count - 1, ellipsis, -1) if inserted(i)]
    return front + back
