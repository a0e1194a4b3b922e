"""What is done between passes: unused nodes go, and shapes are inferred."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

from .branch_shapes import shapes_of_branches
from .ir_utils import bodies


def remove_unused(model: ir.Model) -> None:
    """Remove what nothing uses, and what was used by nothing but the inside of a removed loop."""
    inside = [(node, body) for node in model.graph for body in bodies(node)]
    common.RemoveUnusedNodesPass()(model)
    gone = [body for node, body in inside if node.graph is None]
    for node in [node for body in gone for node in body.all_nodes()]:
        for i in range(len(node.inputs)):
            node.replace_input_with(i, None)
    if gone:
        common.RemoveUnusedNodesPass()(model)


def infer_shapes(model: ir.Model) -> None:
    """Find the shapes of all values, again where what an If or a Loop returns has got one."""
    common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
    if shapes_of_branches(model.graph):
        common.ShapeInferencePass(data_prop=True, strict_mode=False)(model)
