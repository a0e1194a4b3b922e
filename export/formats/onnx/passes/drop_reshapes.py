"""Reshapes that change nothing, and rows of Reshapes of which only the last counts.

Not where a Reshape says 0, "as before me": what stands before it has to stay then.
"""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import made_by, replace
from .pass_types import PassOptions
from .size import Size, same_sizes
from .skips import skip
from .symbolic_shapes import evaluate, sizes


def drop_reshapes(model: ir.Model, _options: PassOptions) -> None:
    """Remove Reshapes that change nothing, and all but the last of a row of them where it does not look back."""
    for node in [node for node in model.graph if node.op_type == "Reshape"]:
        source, target = node.inputs[0], evaluate(node.inputs[1])
        before = made_by(source, "Reshape")
        if before is not None and target is not None and 0 not in target:
            node.replace_input_with(0, before.inputs[0])
            source = before.inputs[0]
        if source is None or target is None:
            skip(node, "its target is not known")
        elif same_sizes(filled(target, source), sizes(source)):
            replace(node.outputs[0], source)
        else:
            skip(node, "it changes the shape")


def filled(target: list[Size], source: ir.Value) -> list[Size]:
    """`target` with the sizes of `source` in the place of zeros."""
    own = sizes(source)
    return [own[i] if n == 0 and own and i < len(own) else n for i, n in enumerate(target)]
