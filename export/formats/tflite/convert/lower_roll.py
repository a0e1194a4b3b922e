"""`roll` along an axis, as in shifted windows: what is pushed over the end, in front of the rest.

roll(x, s) = concatenation of x[-s:] and x[:-s]
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from .rewrite_saved_model import Node, constant

_INT32 = tf.int32.as_datatype_enum


def in_two(node: Node, given: list[np.ndarray]) -> list[Node]:
    """Make a Roll by `given`, shifts and axes, a CONCATENATION of two slices for each axis; the nodes but the last."""
    shifts, axes = (np.atleast_1d(values).astype(int).tolist() for values in given)
    kind, source = node.attr["T"].type, node.input[0]
    waits = [name for name in node.input if name.startswith("^")]
    made: list[Node] = []
    for step, (shift, axis) in enumerate(zip(shifts, axes, strict=True)):
        last = step == len(shifts) - 1
        parts = []
        for part in ("end", "rest"):
            nodes = _slice(f"{node.name}/{part}_{step}", source, -shift, axis, part == "end", kind)
            made += nodes
            parts.append(f"{nodes[-1].name}:output:0")
        made.append(constant(f"{node.name}/axis_{step}", np.array(axis, np.int32)))
        joined = node if last else Node(name=f"{node.name}/rolled_{step}")
        joined.op = "ConcatV2"
        joined.attr.clear()
        joined.attr["T"].type, joined.attr["Tidx"].type, joined.attr["N"].i = kind, _INT32, 2
        joined.input[:] = [*parts, f"{made[-1].name}:output:0", *(waits if last else ())]
        source = f"{joined.name}:output:0"
        made += [] if last else [joined]
    return made


def _slice(name: str, source: str, at: int, axis: int, behind: bool, kind: int) -> list[Node]:
    """x[at:] or x[:at] along an axis; one that counts from the back stands behind an ellipsis."""
    dims = axis + 1 if axis >= 0 else 1 - axis
    place = axis if axis >= 0 else 1
    limits = [np.zeros(dims, np.int32), np.zeros(dims, np.int32), np.ones(dims, np.int32)]
    limits[0 if behind else 1][place] = at
    nodes = [constant(f"{name}/limit_{k}", values) for k, values in enumerate(limits)]
    node = Node(name=name, op="StridedSlice", input=[source, *(f"{n.name}:output:0" for n in nodes)])
    node.attr["T"].type, node.attr["Index"].type = kind, _INT32
    everything = (1 << dims) - 1
    node.attr["begin_mask"].i = everything & ~(behind << place)
    node.attr["end_mask"].i = everything & ~((not behind) << place)
    node.attr["ellipsis_mask"].i = int(axis < 0)
    return [*nodes, node]
