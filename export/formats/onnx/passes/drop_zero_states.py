"""The initial state of a recurrent operator left out where it is zero: that is what none means."""

from __future__ import annotations

import onnx_ir as ir

from .ir_utils import constant
from .pass_types import PassOptions
from .skips import skip

_STATES = (5, 6)  # initial_h, and initial_c of an LSTM
_MOVES = ("Cast", "Expand", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def drop_zero_states(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type in ("GRU", "LSTM", "RNN")]:
        for i in (i for i in _STATES if i < len(node.inputs)):
            if _is_zero(node.inputs[i]):
                node.replace_input_with(i, None)
            elif node.inputs[i] is not None:
                skip(node, f"its input {i} is not known to be zero")


def _is_zero(value: ir.Value | None) -> bool:
    array = constant(value)
    if array is not None:
        return not array.any()
    node = value.producer() if value is not None else None
    if node is None:
        return False
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        return fill is None or not fill.as_tensor().numpy().any()
    if node.op_type == "Concat":
        return all(_is_zero(x) for x in node.inputs)
    return node.op_type in _MOVES and _is_zero(node.inputs[0])
