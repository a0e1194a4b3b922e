"""Reduce axes away and Reshape them back in: the reduction that keeps them."""

from __future__ import annotations

import onnx_ir as ir

from .drop_reshapes import filled
from .ir_utils import integer, only_use, reduced_axes, replace
from .pass_types import PassOptions
from .size import Size, same_sizes
from .skips import skip
from .symbolic_shapes import evaluate, sizes


def reduce_without_reshape(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Reshape" and node.inputs[0] is not None]:
        reduction = node.inputs[0].producer() if node.inputs[0] is not None else None
        if reduction is None or not reduction.op_type.startswith("Reduce") or integer(reduction, "keepdims", 1) == 1:
            continue
        own, axes = sizes(reduction.inputs[0]), reduced_axes(reduction)
        if own is None or not axes or only_use(reduction.outputs[0]) is not node:
            skip(reduction, "its axes are not known, or it is used otherwise too")
            continue
        gone = {axis % len(own) for axis in axes}
        kept = [1 if axis in gone else n for axis, n in enumerate(own)]
        target = evaluate(node.inputs[1])
        if same_sizes(target and filled(target, reduction.outputs[0]), kept):
            _write(node, reduction, kept)
        else:
            skip(reduction, "other axes come back than it took away")


def _write(reshape: ir.Node, reduction: ir.Node, kept: list[Size]) -> None:
    attributes = {**reduction.attributes, "keepdims": ir.AttrInt64("keepdims", 1)}
    new, old = ir.node(reduction.op_type, list(reduction.inputs), attributes, name=reduction.name), reshape.outputs[0]
    new.outputs[0].name, new.outputs[0].type = f"{old.name}/kept", old.type
    new.outputs[0].shape = ir.Shape([n if isinstance(n, int) else None for n in kept])
    reshape.prepend(new)
    replace(old, new.outputs[0])
