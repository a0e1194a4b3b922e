"""Sizes of what an If or a Loop returns, which ONNX's shape inference leaves open."""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import bodies


def shapes_of_branches(graph: ir.Graph) -> bool:
    """Give what an If or a Loop returns the sizes that all its graphs agree on; whether there is such an operation."""
    nodes = [node for node in graph if node.op_type in ("If", "Loop") and bodies(node)]
    for node in nodes:
        loop = node.op_type == "Loop"
        carried = len(node.inputs) - 2  # what a Loop returns beyond these has an axis for its rounds
        for i, output in enumerate(node.outputs[: carried if loop else None]):
            shapes = [body.outputs[i + loop].shape for body in bodies(node)]
            if output.shape is None:
                output.shape = _common([shape for shape in shapes if shape is not None], len(shapes))
    return bool(nodes)


def _common(shapes: list[ir.Shape], count: int) -> ir.Shape | None:
    """The sizes that `count` shapes share, free where they differ; None where a rank is unknown or differs."""
    if len(shapes) < count or len({len(shape) for shape in shapes}) != 1:
        return None
    axes = zip(*shapes, strict=True)
    return ir.Shape([n if isinstance(n, int) and {n, *others} == {n} else None for n, *others in axes])
