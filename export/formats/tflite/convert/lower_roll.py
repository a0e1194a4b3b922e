"""`roll` along an axis, as in shifted windows, as a concatenation of two slices.

roll(x, s) = concatenation of x[-s:] and x[:-s]
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from .rewrite_saved_model import constant

_INT32 = tf.int32.as_datatype_enum


def in_two(node: NodeDef, given: list[np.ndarray]) -> list[NodeDef]:
    """Make a Roll the last of a chain of ConcatV2, one for each axis; return the other nodes of the chain.

    `given` holds the shifts and the axes.
    """
    shifts, axes = (np.atleast_1d(values).astype(int).tolist() for values in given)
    kind, source = node.attr["T"].type, node.input[0]
    waits = [name for name in node.input if name.startswith("^")]
    made: list[NodeDef] = []
    for step, (shift, axis) in enumerate(zip(shifts, axes, strict=True)):
        last = step == len(shifts) - 1
        parts = []
        for part in ("end", "rest"):
            nodes = _slice(f"{node.name}/{part}_{step}", source, -shift, axis, part == "end", kind)
            made += nodes
            parts.append(f"{nodes[-1].name}:output:0")
        made.append(constant(f"{node.name}/axis_{step}", np.array(axis, np.int32)))
        joined = node if last else NodeDef(name=f"{node.name}/rolled_{step}")
        joined.op = "ConcatV2"
        joined.attr.clear()
        joined.attr["T"].type, joined.attr["Tidx"].type, joined.attr["N"].i = kind, _INT32, 2
        joined.input[:] = [*parts, f"{made[-1].name}:output:0", *(waits if last else ())]
        source = f"{joined.name}:output:0"
        made += [] if last else [joined]
    return made


def _slice(name: str, source: str, at: int, axis: int, behind: bool, kind: int) -> list[NodeDef]:
    """x[at:] if `behind`, else x[:at], along an axis; a negative axis is written with an ellipsis in front."""
    dims = axis + 1 if axis >= 0 else 1 - axis
    place = axis if axis >= 0 else 1
    limits = [np.zeros(dims, np.int32), np.zeros(dims, np.int32), np.ones(dims, np.int32)]
    limits[0 if behind else 1][place] = at
    nodes = [constant(f"{name}/limit_{k}", values) for k, values in enumerate(limits)]
    node = NodeDef(name=name, op="StridedSlice", input=[source, *(f"{n.name}:output:0" for n in nodes)])
    node.attr["T"].type, node.attr["Index"].type = kind, _INT32
    everything = (1 << dims) - 1
    node.attr["begin_mask"].i = everything & ~(behind << place)
    node.attr["end_mask"].i = everything & ~((not behind) << place)
    node.attr["ellipsis_mask"].i = int(axis < 0)
    return [*nodes, node]
