"""Resize to sizes of all axes, that of a free batch read at run time, where it had sizes of all axes but the batch.

ONNX Runtime's optimizer moves transposes over a Resize, and loses the sizes of one that has them for some `axes` alone.
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import input_of, insert, integer_list, integers, new_integers, rank_of
from .pass_types import PassOptions
from .skips import skip


def whole_resize_sizes(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Resize" and len(node.inputs) == 4]:
        axes, sizes = integer_list(node, "axes"), integers(node.inputs[3])
        if sizes is None or len(axes) != len(sizes):
            skip(node, "it has the sizes of all axes, or computes them")
        elif sorted(axes) != list(range(1, rank_of(input_of(node, 0)))):
            skip(node, "it keeps more sizes than that of the batch")
        else:
            size_of = dict(zip(axes, sizes, strict=True))
            rest = new_integers(model.graph, [size_of[axis] for axis in sorted(axes)], f"{node.name}/sizes")
            batch = insert(node, "Shape", [input_of(node, 0)], f"{node.name}/batch", ir.Shape([1]), start=0, end=1)
            whole = insert(node, "Concat", [batch, rest], f"{node.name}/whole", ir.Shape([len(sizes) + 1]), axis=0)
            node.replace_input_with(3, whole)
            del node.attributes["axes"]
