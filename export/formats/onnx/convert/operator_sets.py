"""The operator sets that a file imports: those whose operators it has.

Converters and quantizers import whatever they might need; a runtime without one of those sets may refuse the file.
"""

from __future__ import annotations

import onnx

from ..nested_graphs import all_nodes

_ONNX = ("", "ai.onnx")  # two names of one set


def import_what_is_used(model: onnx.ModelProto) -> None:
    """Leave out the operator sets of which no graph or function of `model` has an operator; ONNX's own stays."""
    used = {*_ONNX, *(node.domain for node in all_nodes(model))}
    imports = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)
