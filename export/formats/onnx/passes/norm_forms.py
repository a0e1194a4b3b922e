"""The form that each norm takes in the file.

A lowering writes   c = x - mean(x),  y = c / sqrt(mean(c^2) + epsilon)   over trailing axes; group and instance norm do
so on [N, groups, elements]. Here that becomes, unless the opset is too old,

    fast      LayerNormalization and RMSNormalization, gamma and beta in it, or, where the opset has none, the form that
              ONNX Runtime makes its kernel of. For groups what `groups.py` writes.
    standard  the operator of the norm's own name, whatever the runtime makes of it; group norm's behind Reshape, Slice,
              Sub and Reshape
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from ....model.layer_names import NORM_SCOPE
from .group_norm_op import insert_groups, near_zero
from .ir_utils import constant, insert, made_by, new_constant, only_use, operand, replace, static, with_constant
from .tidy_names import layer_path

_GROUP_NORM_OPSET = 21


class _Core(NamedTuple):
    """y = (x - mean) / sqrt(variance + epsilon), or without the mean, over `axes`."""

    x: ir.Value
    last: ir.Node
    epsilon: float
    axes: tuple[int, ...]
    centred: bool


class UnavailableNormError(ValueError):
    """A standard operator that the opset does not have; `since` is the first that has it."""

    def __init__(self, op_type: str, since: int, layer: str) -> None:
        super().__init__(f"{op_type}, of opset {since}, for '{layer}'")
        self.since = since


def choose_forms(model: ir.Model, standard: bool, layer_norm: bool, either_layout: bool = False) -> None:
    """Give every norm its form. `layer_norm`: the runtime's own LayerNormalization may be trusted.

    Norms over groups get theirs from `groups.py` once the layout is settled; with `either_layout` that may be
    either.

    Raises:
        UnavailableNormError: `standard` asks for an operator that is newer than the opset.
    """
    graph = model.graph
    _scale_last(graph)
    for last in [node for node in graph if node.op_type == "Mul"]:
        core = _match(last)
        if core is None:
            continue
        rank = len(core.x.shape or ())
        trailing = core.axes == tuple(range(rank - len(core.axes), rank))
        before, after = made_by(core.x, "Reshape"), only_use(last.outputs[0])
        if before is not None and after is not None and after.op_type == "Reshape" and rank == 3 and core.centred:
            _write_group(graph, core, before, after, standard, either_layout)
        elif trailing and (layer_norm or not core.centred or standard):
            op_type, since = ("LayerNormalization", 17) if core.centred else ("RMSNormalization", 23)
            if graph.opset_imports[""] >= since:
                _write_trailing(graph, core, op_type)
            elif standard:
                _refuse(op_type, since, core)
            else:
                _write_fusable(graph, core)


def _scale_last(graph: ir.Graph) -> None:
    """x (r gamma) as (x r) gamma: TensorFlow's optimizer moves a constant inwards."""
    for node in [node for node in graph if node.op_type == "Mul"]:
        for i in (0, 1):
            inner = made_by(node.inputs[i], "Mul")
            found = with_constant(inner) if inner is not None else None
            if found is None or made_by(found[0], "Reciprocal") is None or only_use(inner.outputs[0]) is not node:  # type: ignore[union-attr]
                continue
            x, gamma = node.inputs[1 - i], next(v for v in inner.inputs if v is not found[0])  # type: ignore[union-attr]
            if x is not None and constant(x) is None:
                y = insert(node, "Mul", [x, found[0]], f"{node.name}/normalized", x.shape)
                node.replace_input_with(0, y)
                node.replace_input_with(1, gamma)
            break


def _match(last: ir.Node) -> _Core | None:
    """`last` = z * (1 / sqrt(mean(z * z) + epsilon))."""
    found = operand(last, "Reciprocal")
    root = made_by(found[0].inputs[0], "Sqrt") if found else None
    shifted = with_constant(add) if root and (add := made_by(root.inputs[0], "Add")) else None
    mean = made_by(shifted[0], "ReduceMean") if shifted else None
    square = made_by(mean.inputs[0], "Mul") if mean else None
    if found is None or mean is None or square is None or shifted[1].size != 1:  # type: ignore[index]
        return None
    z = found[1]
    axes = _axes(mean)
    if square.inputs[0] is not z or square.inputs[1] is not z or axes is None or z.shape is None:
        return None
    epsilon, rank = float(shifted[1].reshape(())), len(z.shape)  # type: ignore[index]
    axes = tuple(sorted(axis % rank for axis in axes))
    minus = made_by(z, "Sub")
    if minus is None:
        return _Core(z, last, epsilon, axes, False)
    mean = made_by(minus.inputs[1], "ReduceMean")
    over = _axes(mean) if mean is not None and mean.inputs[0] is minus.inputs[0] else None
    if over is None or tuple(sorted(axis % rank for axis in over)) != axes:
        return _Core(z, last, epsilon, axes, False)
    return _Core(minus.inputs[0], last, epsilon, axes, True)  # type: ignore[arg-type]


def _axes(mean: ir.Node) -> tuple[int, ...] | None:
    given = mean.attributes.get("axes")
    array = given.value if given is not None else constant(mean.inputs[1]) if len(mean.inputs) > 1 else None
    return None if array is None else tuple(int(axis) for axis in np.reshape(array, -1))


def _affine(last: ir.Node, shape: tuple[int | None, ...]) -> tuple[np.ndarray | None, np.ndarray | None, ir.Node]:
    """gamma and beta behind `last`, where they are constants that fit into `shape`, and the last node of these."""
    gamma = beta = None
    for op_type in ("Mul", "Add"):
        node = only_use(last.outputs[0])
        found = with_constant(node) if node is not None and node.op_type == op_type else None
        if node is None or found is None or not _fits(found[1].shape, shape):
            continue
        if op_type == "Mul":
            gamma = found[1]
        else:
            beta = found[1]
        last = node
    return gamma, beta, last


def _fits(small: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    padded = (1,) * (len(shape) - len(small)) + small
    return len(padded) == len(shape) and all(a in (1, b) for a, b in zip(padded, shape, strict=True))


def _write_trailing(graph: ir.Graph, core: _Core, op_type: str) -> None:
    shape = static(core.x) or ()
    normalized = tuple(n for n in shape[core.axes[0] :] if n is not None)
    if len(normalized) < len(core.axes):
        return
    allowed = (*[1] * core.axes[0], *normalized)
    gamma, beta, last = _affine(core.last, allowed)
    full = lambda array: np.broadcast_to(array.reshape((1,) * (len(shape) - array.ndim) + array.shape), allowed)  # noqa: E731
    scale = np.ones(normalized, np.float32) if gamma is None else full(gamma).reshape(normalized)  # type: ignore[arg-type]
    name = str(core.last.name)
    inputs = [core.x, new_constant(graph, scale, f"{name}/gamma")]
    if beta is not None and op_type == "LayerNormalization":
        inputs.append(new_constant(graph, full(beta).reshape(normalized), f"{name}/beta"))  # type: ignore[arg-type]
    elif beta is not None:
        last = made_by(with_constant(last)[0], "Mul")  # type: ignore[index,assignment]
    attributes = {"axis": -len(normalized), "epsilon": core.epsilon}
    y = insert(last, op_type, inputs, name, last.outputs[0].shape, **attributes)
    y.type = last.outputs[0].type
    replace(last.outputs[0], y)


def _write_fusable(graph: ir.Graph, core: _Core) -> None:
    """z / sqrt(mean(z^2) + epsilon) in the operations by which ONNX Runtime knows a norm and makes one kernel of it."""
    last, name = core.last, str(core.last.name)
    reciprocal, z = operand(last, "Reciprocal")  # type: ignore[misc]
    root = reciprocal.inputs[0]
    mean = made_by(with_constant(made_by(root.producer().inputs[0], "Add"))[0], "ReduceMean")  # type: ignore[union-attr, arg-type, index]
    two = new_constant(graph, np.float32(2), f"{name}/two")
    mean.replace_input_with(0, insert(mean, "Pow", [z, two], f"{name}/Pow", z.shape))  # type: ignore[union-attr, arg-type]
    y = insert(last, "Div", [z, root], name, last.outputs[0].shape)
    replace(last.outputs[0], y)


def _refuse(op_type: str, since: int, core: _Core) -> None:
    raise UnavailableNormError(op_type, since, layer_path(core.last.name).partition(f"/{NORM_SCOPE}/")[0])


def _write_group(
    graph: ir.Graph, core: _Core, before: ir.Node, after: ir.Node, standard: bool, either_layout: bool
) -> None:
    groups, shape = (static(core.x) or ())[1], static(after.outputs[0])
    if groups is None or shape is None or len(shape) < 2 or shape[1] is None:
        return
    channels, rank, name = shape[1], len(shape), str(core.last.name)
    gamma, beta, last = _affine(after, (1, channels, *[1] * (rank - 2)))
    per_channel = lambda array: np.broadcast_to(array.reshape(-1), (channels,)).astype(np.float32)  # noqa: E731
    x = before.inputs[0]
    assert x is not None
    if not standard or rank == 2:
        affine = tuple(None if array is None else per_channel(array) for array in (gamma, beta))
        shapes = before.inputs[1], after.inputs[1]
        y = insert_groups(last, x, shapes, (groups, channels), core.epsilon, affine, name, either_layout)  # type: ignore[arg-type]
        return _finish(y, last)
    scale = new_constant(graph, per_channel(np.ones(1) if gamma is None else gamma), f"{name}/gamma")
    shift = new_constant(graph, per_channel(np.zeros(1) if beta is None else beta), f"{name}/beta")
    if groups == channels:
        return _finish(insert(last, "InstanceNormalization", [x, scale, shift], name, epsilon=core.epsilon), last)
    if graph.opset_imports[""] < _GROUP_NORM_OPSET:
        return _refuse("GroupNormalization", _GROUP_NORM_OPSET, core)
    # ONNX Runtime takes E[x^2] - E[x]^2, which needs x near zero more than any.
    near = near_zero(graph, last, core.x, range(2, 3))
    x = insert(last, "Reshape", [near, after.inputs[1]], f"{name}/Reshape", after.outputs[0].shape)
    attributes = {"num_groups": groups, "epsilon": core.epsilon}
    return _finish(insert(last, "GroupNormalization", [x, scale, shift], name, None, **attributes), last)


def _finish(y: ir.Value, last: ir.Node) -> None:
    y.shape, y.type = last.outputs[0].shape, last.outputs[0].type
    replace(last.outputs[0], y)
