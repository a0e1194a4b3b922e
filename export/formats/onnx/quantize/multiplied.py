"""What the kernels of an ONNX graph are multiplied with: the moments of their patches on calibration data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import helper

from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ....quantization.grid import LARGEST_PATCH
from ....quantization.patches import Patches, Window, rows
from ..runtime import open_session


def moments(
    model: onnx.ModelProto,
    readers: Mapping[str, onnx.NodeProto],
    shapes: Mapping[str, tuple[int, ...]],
    examples: list[Arrays],
    say: Progress = silent,
) -> dict[str, np.ndarray]:
    """By kernel, the means of x_i x_j of its patches; of those of dense layers and plain 2D convolutions alone.

    `readers` has what reads each kernel. A convolution's patches are channels last.
    """
    inside = {name for node in model.graph.node for name in node.output} | {value.name for value in model.graph.input}
    gathered: dict[str, Patches] = {}
    for name, node in readers.items():
        patches = _patches(node, name, shapes[name], len(examples)) if node.input[0] in inside else None
        if patches is not None:
            gathered[name] = patches
    taken = sorted({readers[name].input[0] for name in gathered})
    if not taken:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taken)
    session = open_session(watched.SerializeToString(), "ENABLE_BASIC", threads=2)
    names = [value.name for value in session.get_inputs()]
    for arrays in counted(examples, say, "calibration examples run", len(examples[0][0])):
        seen = dict(zip(taken, session.run(taken, dict(zip(names, arrays, strict=True))), strict=True))
        for name, patches in gathered.items():
            x = np.asarray(seen[readers[name].input[0]])
            patches.add(x.transpose(0, 2, 3, 1) if readers[name].op_type == "Conv" else x)
    return {name: patches.moments()[0] for name, patches in gathered.items()}


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute of a node, or what it is where the node has none."""
    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def _patches(node: onnx.NodeProto, name: str, kernel: tuple[int, ...], examples: int) -> Patches | None:
    """What gathers the moments of a kernel; None where there is no simple way."""
    if node.input[1:2] != [name]:
        return None
    if node.op_type == "Conv":
        return _of_convolution(node, kernel, examples)
    if node.op_type not in ("MatMul", "Gemm") or len(kernel) != 2:
        return None
    size = kernel[1 if attribute(node, "transB", 0) else 0]
    plain = not attribute(node, "transA", 0) and size <= LARGEST_PATCH
    return Patches(size, partial(rows, size=size), examples) if plain else None


def _of_convolution(node: onnx.NodeProto, kernel: tuple[int, ...], examples: int) -> Patches | None:
    size = int(np.prod(kernel[1:]))
    alone = attribute(node, "group", 1) == 1 and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET"
    if len(kernel) != 4 or not alone or size > LARGEST_PATCH:
        return None
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    vertical, horizontal = attribute(node, "strides", [1, 1])
    down, across = attribute(node, "dilations", [1, 1])
    window = Window((kernel[2], kernel[3]), (vertical, horizontal), (down, across), ((top, bottom), (left, right)))
    return Patches(size, window.patches, examples)
