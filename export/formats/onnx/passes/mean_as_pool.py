"""The mean over a small image as a pool, which ONNX Runtime computes in the layout of its convolutions.

Larger ones stay: a pool adds up one number after another. Those of a norm stay too: they are what makes it exact.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ....model.layer_names import NORM_SCOPE
from .ir_utils import input_of, insert, integer, reduced_axes, replace, static
from .pass_types import PassOptions
from .skips import skip

_MOST_POOLED = 28 * 28


def mean_as_pool(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "ReduceMean"]:
        x, axes = input_of(node, 0), reduced_axes(node)
        shape = static(x)
        if axes is None or shape is None or len(shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
            skip(node, "it is not over the two last of four axes")
            continue
        height, width = shape[2:]
        if height is None or width is None or math.prod((height, width)) > _MOST_POOLED:
            skip(node, f"the image has more than {_MOST_POOLED} positions, or a free size")
            continue
        if f"/{NORM_SCOPE}/" in str(node.name):
            skip(node, "it belongs to a norm")
            continue
        assert x.shape is not None
        y = insert(node, "GlobalAveragePool", [x], str(node.name), ir.Shape([*x.shape[:2], 1, 1]))
        if integer(node, "keepdims", 1) == 0:
            y = insert(node, "Flatten", [y], f"{node.name}/flat", node.outputs[0].shape, axis=1)
        replace(node.outputs[0], y)
