"""Identity(x) is x, but where it gives an output of the graph its own name beside another."""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import replace
from .pass_types import PassOptions
from .skips import skip


def drop_identities(model: ir.Model, _options: PassOptions) -> None:
    """Remove each Identity whose input has no name to keep."""
    for node in [node for node in model.graph if node.op_type == "Identity"]:
        source = node.inputs[0]
        taken = source is None or source.is_graph_output() or source.is_graph_input() or source.is_initializer()
        if source is None or (taken and node.outputs[0].is_graph_output()):
            skip(node, "its input and its output both have names to keep")
        else:
            replace(node.outputs[0], source)
