"""Pad with zeros, Conv: the padding of the convolution. Not where a channel or a sample is padded, or cropped."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .ir_utils import array_of, constant, has_input, integer_list, only_use, scalar, set_integers, text
from .pass_types import PassOptions
from .skips import skip


def padding_into_convolution(model: ir.Model, _options: PassOptions) -> None:
    for node in [node for node in model.graph if node.op_type == "Pad"]:
        conv = only_use(node.outputs[0], "Conv")
        if conv is None or conv.inputs[0] is not node.outputs[0]:
            skip(node, "what it pads is not used by one convolution alone")
        elif not _with_zeros(node):
            skip(node, "it does not pad with zeros, or by how much is computed")
        elif text(conv, "auto_pad", "NOTSET") != "NOTSET":
            skip(node, "the padding of its convolution is left to the runtime")
        else:
            _move(node, conv)


def _with_zeros(pad: ir.Node) -> bool:
    value = scalar(pad.inputs[2]) if has_input(pad, 2) else 0.0
    plain = text(pad, "mode", "constant") == "constant" and len(pad.inputs) <= 3
    return plain and value == 0 and constant(pad.inputs[1]) is not None


def _move(pad: ir.Node, conv: ir.Node) -> None:
    pads = array_of(pad.inputs[1])
    starts, ends = pads.reshape(2, -1)
    if (pads < 0).any() or starts[:2].any() or ends[:2].any():
        skip(pad, "it crops, or pads samples or channels")
        return
    more = np.concatenate([starts[2:], ends[2:]])
    own = integer_list(conv, "pads", [0] * len(more))
    set_integers(conv, "pads", [int(n) for n in more + np.array(own)])
    conv.replace_input_with(0, pad.inputs[0])
