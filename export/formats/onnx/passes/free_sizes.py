"""What the sizes of a graph are called that are not known: a name at the inputs, none between inputs and outputs.

tf2onnx calls them `unk__12` and gives two of one name that need not be equal.
"""

from __future__ import annotations

import onnx_ir as ir

from .pass_types import PassOptions


def name_free_sizes(model: ir.Model, _options: PassOptions) -> None:
    """Call the free sizes of inputs `batch` and by input and axis, and forget the converter's names for the others."""
    for value in model.graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([_size_name(value, axis, n) for axis, n in enumerate(value.shape)])
    inputs = {value.name for value in model.graph.inputs}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.shape is not None and value.name not in inputs:
                value.shape = ir.Shape([n if isinstance(n, int) else None for n in value.shape])


def _size_name(value: ir.Value, axis: int, size: object) -> int | str:
    if isinstance(size, int):
        return size
    return "batch" if axis == 0 else f"{value.name}_{axis}"


def forget_shapes(model: ir.Model, _options: PassOptions) -> None:
    """Leave the shapes of values between inputs and outputs to whoever reads the file; call a free batch `batch`."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
            elif value.shape is not None and len(value.shape) and not isinstance(value.shape[0], int):
                value.shape = ir.Shape(["batch", *value.shape[1:]])
