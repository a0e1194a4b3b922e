"""Slices that also insert dimensions, such as `mask[:, None, None, :]`, as EXPAND_DIMS.

TensorFlow writes such a slice as one StridedSlice. The converter makes a RESHAPE of it, which can hold one free size;
with a free batch and a free length it would need TensorFlow's own kernel. EXPAND_DIMS takes any shape.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from ...rewrite_log import note_skip
from .rewrite_saved_model import constant

_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "shrink_axis_mask")


class _Entries:
    """The entries of an index such as `[:, None, ..., 0]`, from the masks of a StridedSlice: one bit for each entry."""

    def __init__(self, node: NodeDef, limits: list[np.ndarray]) -> None:
        # An attribute that is left out is 0; to ask for it would add an empty one.
        self._masks = {name: int(node.attr[name].i) if name in node.attr else 0 for name in (*_MASKS, "new_axis_mask")}
        self._strides = limits[2]
        self.count = len(limits[0])

    def bit(self, mask: str, i: int) -> bool:
        return bool(self._masks[mask] >> i & 1)

    def is_new_axis(self, i: int) -> bool:
        return self.bit("new_axis_mask", i)

    def slices(self) -> list[int]:
        """The entries that are there without the new axes. An ellipsis overrules a new axis."""
        return [i for i in range(self.count) if not self.is_new_axis(i) or self.bit("ellipsis_mask", i)]

    def takes_all(self, i: int) -> bool:
        """Whether an entry is `:` or `...`, which changes nothing."""
        full = self.bit("begin_mask", i) and self.bit("end_mask", i) and self._strides[i] == 1
        return self.bit("ellipsis_mask", i) or (full and not self.bit("shrink_axis_mask", i))

    def new_axes(self) -> list[int]:
        """Axes to insert one by one: those before an ellipsis from the front, those behind it from the back."""
        ellipsis = next((i for i in range(self.count) if self.bit("ellipsis_mask", i)), self.count)
        front = [self._stay(range(i)) for i in range(ellipsis) if self.is_new_axis(i)]
        behind = range(self.count - 1, ellipsis, -1)
        return front + [-1 - self._stay(range(i + 1, self.count)) for i in behind if self.is_new_axis(i)]

    def _stay(self, entries: Iterable[int]) -> int:
        """How many entries leave a dimension in the result."""
        return sum(self.is_new_axis(i) or not self.bit("shrink_axis_mask", i) for i in entries)


def apart(node: NodeDef, limits: list[np.ndarray]) -> list[NodeDef] | None:
    """Make `node` the last of a chain: the slice, if anything is sliced, then one ExpandDims for each new axis.

    `limits` are its begin, end and strides. Returns the other nodes of the chain, or None if nothing is inserted.
    """
    entries = _Entries(node, limits)
    axes = entries.new_axes()
    if not any(entries.is_new_axis(i) for i in range(entries.count)):
        note_skip(node.op, node.name, "it inserts no dimension")
        return None
    kind, source = node.attr["T"].type, node.input[0]
    waits = [name for name in node.input if name.startswith("^")]
    made: list[NodeDef] = []
    if not all(entries.takes_all(i) for i in entries.slices()):
        made = _slice(node, limits, entries)
        source = f"{made[-1].name}:output:0"
    for step, axis in enumerate(axes):
        made.append(constant(f"{node.name}/axis_{step}", np.array(axis, np.int32)))
        last = step == len(axes) - 1
        expand = node if last else NodeDef(name=f"{node.name}/expanded_{step}")
        expand.op = "ExpandDims"
        expand.attr.clear()
        expand.attr["T"].type, expand.attr["Tdim"].type = kind, tf.int32.as_datatype_enum
        # Its output has the same name as that of a StridedSlice, so nothing that reads the last node changes.
        expand.input[:] = [source, f"{made[-1].name}:output:0", *(waits if last else ())]
        source = f"{expand.name}:output:0"
        if not last:
            made.append(expand)
    return made


def _slice(node: NodeDef, limits: list[np.ndarray], entries: _Entries) -> list[NodeDef]:
    """The slice without the new axes, behind the constants that it reads."""
    kept = entries.slices()
    made, part = [], NodeDef()
    part.CopyFrom(node)
    part.attr.pop("_output_shapes", None)
    part.name = f"{node.name}/slice"
    for k, values in enumerate(limits):
        made.append(constant(f"{node.name}/limit_{k}", values[kept]))
        part.input[k + 1] = f"{made[-1].name}:output:0"
    for name in _MASKS:
        part.attr[name].i = sum(int(entries.bit(name, i)) << place for place, i in enumerate(kept))
    part.attr["new_axis_mask"].i = 0
    part.attr["Index"].type = tf.as_dtype(limits[0].dtype).as_datatype_enum
    return [*made, part]
