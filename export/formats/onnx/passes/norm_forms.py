"""The form that each norm takes in the file.

A lowering writes   c = x - mean(x),  y = c / sqrt(mean(c^2) + epsilon)   over trailing axes; group and instance norm do
so on [N, groups, elements]. Here that becomes, unless the opset is too old,

    fast      LayerNormalization and RMSNormalization, gamma and beta in it, or, where the opset has none, the form that
              ONNX Runtime makes its kernel of. For groups what `group_norm_op.py` writes.
    standard  the operator of the norm's own name, whatever the runtime makes of it; group norm's behind Reshape, Slice,
              Sub and Reshape
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ....model.layer_names import NORM_SCOPE
from .group_norm_op import GroupNorm, insert_group_norm, near_zero
from .ir_utils import graph_of, input_of, insert, made_by, new_constant, only_use, opset_of, replace, static
from .norm_pattern import NormCore, find_affine, find_norm, scale_last, take_place
from .pass_types import PassOptions
from .skips import skip
from .tidy_names import layer_path

_GROUP_NORM_OPSET = 21


class UnavailableNormError(ValueError):
    """A standard operator that the opset does not have; `since` is the first that has it."""

    def __init__(self, op_type: str, since: int, layer: str) -> None:
        super().__init__(f"{op_type}, of opset {since}, for '{layer}'")
        self.since = since


def choose_norm_forms(model: ir.Model, options: PassOptions) -> None:
    """Give every norm its form. Norms over groups get theirs from `group_norm_op.py` once the layout is settled.

    Raises:
        UnavailableNormError: If norms='standard' asks for an operator that is newer than the opset.
    """
    scale_last(model.graph)
    for last in [node for node in model.graph if node.op_type == "Mul"]:
        core = find_norm(last)
        if core is None:
            continue
        rank = len(core.x.shape or ())
        before, after = made_by(core.x, "Reshape"), only_use(last.outputs[0], "Reshape")
        if before is not None and after is not None and rank == 3 and core.centred:
            _write_group(core, before, after, options)
        elif core.axes != tuple(range(rank - len(core.axes), rank)):
            skip(last, "it normalizes axes that are not the last")
        elif core.centred and not options.layer_norm_is_exact and not options.standard_norms:
            skip(last, "the runtime's LayerNormalization squares before it centres")
        else:
            _write_over_last_axes(core, options.standard_norms)


def _write_over_last_axes(core: NormCore, standard: bool) -> None:
    op_type, since = ("LayerNormalization", 17) if core.centred else ("RMSNormalization", 23)
    if opset_of(graph_of(core.last)) >= since:
        _write_operator(core, op_type)
    elif standard:
        raise _unavailable(op_type, since, core)
    else:
        _write_fusable(core)


def _write_operator(core: NormCore, op_type: str) -> None:
    shape, graph, name = static(core.x) or (), graph_of(core.last), str(core.last.name)
    normalized = tuple(n for n in shape[core.axes[0] :] if n is not None)
    if len(normalized) < len(core.axes):
        skip(core.last, "a size that it normalizes over is free")
        return
    allowed = (*[1] * core.axes[0], *normalized)
    affine = find_affine(core.last, allowed)

    def full(array: NDArray[Any]) -> NDArray[Any]:
        whole = array.reshape((1,) * (len(shape) - array.ndim) + array.shape)
        return np.broadcast_to(whole, allowed).reshape(normalized)

    scale = np.ones(normalized, np.float32) if affine.gamma is None else full(affine.gamma)
    inputs, last = [core.x, new_constant(graph, scale, f"{name}/gamma")], affine.last
    if affine.beta is not None and op_type == "LayerNormalization":
        inputs.append(new_constant(graph, full(affine.beta), f"{name}/beta"))
    elif affine.beta is not None:
        last = affine.scaled  # RMSNormalization has no beta: it is added behind
    y = insert(last, op_type, inputs, name, last.outputs[0].shape, axis=-len(normalized), epsilon=core.epsilon)
    y.type = last.outputs[0].type
    replace(last.outputs[0], y)


def _write_fusable(core: NormCore) -> None:
    """z / sqrt(mean(z^2) + epsilon) in the operations by which ONNX Runtime knows a norm and makes one kernel of it."""
    last, name = core.last, str(core.last.name)
    two = new_constant(graph_of(last), np.float32(2), f"{name}/two")
    core.mean.replace_input_with(0, insert(core.mean, "Pow", [core.z, two], f"{name}/Pow", core.z.shape))
    replace(last.outputs[0], insert(last, "Div", [core.z, core.root], name, last.outputs[0].shape))


def _unavailable(op_type: str, since: int, core: NormCore) -> UnavailableNormError:
    return UnavailableNormError(op_type, since, layer_path(core.last.name).partition(f"/{NORM_SCOPE}/")[0])


def _write_group(core: NormCore, before: ir.Node, after: ir.Node, options: PassOptions) -> None:
    groups, shape = (static(core.x) or ())[1], static(after.outputs[0])
    if groups is None or shape is None or len(shape) < 2 or shape[1] is None:
        skip(core.last, "the number of its groups or channels is free")
        return
    channels, rank = shape[1], len(shape)
    gamma, beta, last, _ = find_affine(after, (1, channels, *[1] * (rank - 2)))
    per_channel = [None if a is None else _per_channel(a, channels) for a in (gamma, beta)]
    norm = GroupNorm(groups, channels, core.epsilon, per_channel[0], per_channel[1], options.norms_in_either_layout)
    if not options.standard_norms or rank == 2:
        shapes, x, name = (input_of(before, 1), input_of(after, 1)), input_of(before, 0), str(core.last.name)
        if len(x.shape or ()) != rank:  # a Flatten that the Reshape to groups has taken in
            x = insert(last, "Reshape", [x, shapes[1]], f"{name}/Reshape", after.outputs[0].shape)
        take_place(insert_group_norm(last, x, shapes, norm, name), last)
    else:
        _write_standard_group(core, norm, (before, after), last)


def _per_channel(array: NDArray[Any], channels: int) -> NDArray[Any]:
    return np.broadcast_to(array.reshape(-1), (channels,)).astype(np.float32)


def _write_standard_group(core: NormCore, norm: GroupNorm, reshapes: tuple[ir.Node, ir.Node], last: ir.Node) -> None:
    before, after = reshapes
    graph, name, channels = graph_of(last), str(core.last.name), norm.channels
    gamma = _per_channel(np.ones(1), channels) if norm.gamma is None else norm.gamma
    beta = _per_channel(np.zeros(1), channels) if norm.beta is None else norm.beta
    scale, shift = new_constant(graph, gamma, f"{name}/gamma"), new_constant(graph, beta, f"{name}/beta")
    if norm.groups == channels:
        inputs = [input_of(before, 0), scale, shift]
        take_place(insert(last, "InstanceNormalization", inputs, name, epsilon=core.epsilon), last)
        return
    if opset_of(graph) < _GROUP_NORM_OPSET:
        raise _unavailable("GroupNormalization", _GROUP_NORM_OPSET, core)
    # ONNX Runtime takes E[x^2] - E[x]^2, which needs x near zero more than any.
    near = near_zero(graph, last, core.x, range(2, 3))
    x = insert(last, "Reshape", [near, after.inputs[1]], f"{name}/Reshape", after.outputs[0].shape)
    attributes = {"num_groups": norm.groups, "epsilon": core.epsilon}
    take_place(insert(last, "GroupNormalization", [x, scale, shift], name, None, **attributes), last)
