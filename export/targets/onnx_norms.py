"""The form that each norm takes in the file.

A lowering writes   c = x - mean(x),  y = c / sqrt(mean(c^2) + epsilon)   over trailing axes; group and instance norm do
so on [N, groups, elements]. Here that becomes, unless the opset is too old,

    fast      LayerNormalization, gamma and beta in it;
              Reshape, InstanceNormalization, Reshape, BatchNormalization for the groups: this one has a statistic of
              0 and 1 and stands for gamma and beta in one pass; both operators are older than any opset in use
    standard  the operator of the norm's own name, whatever the runtime makes of it
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from .onnx_editing import constant, insert, made_by, new_constant, only_use, operand, replace, static, with_constant

LAYER_NORM_OPSET, GROUP_NORM_OPSET, RMS_NORM_OPSET = 17, 21, 23


class _Core(NamedTuple):
    """y = (x - mean) / sqrt(variance + epsilon), or without the mean, over `axes`."""

    x: ir.Value
    last: ir.Node
    epsilon: float
    axes: tuple[int, ...]
    centred: bool


class UnavailableNormError(ValueError):
    """A standard operator that the opset does not have."""


def choose_forms(model: ir.Model, standard: bool, layer_norm: bool) -> None:
    """Give every norm its form. `layer_norm`: the runtime's own LayerNormalization may be trusted.

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
            _write_group(graph, core, before, after, standard)
        elif core.centred and trailing and layer_norm:
            _write_trailing(graph, core, "LayerNormalization", LAYER_NORM_OPSET, standard)
        elif not core.centred and trailing and standard:
            _write_trailing(graph, core, "RMSNormalization", RMS_NORM_OPSET, standard)


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


def _write_trailing(graph: ir.Graph, core: _Core, op_type: str, since: int, standard: bool) -> None:
    shape = static(core.x) or ()
    normalized = tuple(n for n in shape[core.axes[0] :] if n is not None)
    if len(normalized) < len(core.axes):
        return
    if graph.opset_imports[""] < since:
        _refuse(standard, op_type, since, graph, core)
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


def _refuse(standard: bool, op_type: str, since: int, graph: ir.Graph, core: _Core) -> None:
    if standard:
        raise UnavailableNormError(f"{op_type} is an operator from opset {since} on, needed for {core.last.name}")


def _write_group(graph: ir.Graph, core: _Core, before: ir.Node, after: ir.Node, standard: bool) -> None:
    groups, shape = (static(core.x) or ())[1], static(after.outputs[0])
    if groups is None or shape is None or len(shape) < 2 or shape[1] is None:
        return
    channels, rank, name = shape[1], len(shape), str(core.last.name)
    gamma, beta, last = _affine(after, (1, channels, *[1] * (rank - 2)))
    per_channel = lambda array, default: np.broadcast_to(  # noqa: E731
        np.float32(default) if array is None else array.reshape(-1), (channels,)
    ).astype(np.float32)
    scale = new_constant(graph, per_channel(gamma, 1), f"{name}/gamma")
    shift = new_constant(graph, per_channel(beta, 0), f"{name}/beta")
    if groups == channels and rank > 2:
        y = insert(last, "InstanceNormalization", [before.inputs[0], scale, shift], name, epsilon=core.epsilon)
        return _finish(y, last)
    if standard and rank > 2:
        if graph.opset_imports[""] < GROUP_NORM_OPSET:
            return _refuse(standard, "GroupNormalization", GROUP_NORM_OPSET, graph, core)
        attributes = {"num_groups": groups, "epsilon": core.epsilon}
        return _finish(
            insert(last, "GroupNormalization", [before.inputs[0], scale, shift], name, None, **attributes), last
        )
    ones, zeros = (new_constant(graph, np.full(groups, n, np.float32), f"{name}/unit") for n in (1, 0))
    y = insert(core.last, "InstanceNormalization", [core.x, ones, zeros], name, core.x.shape, epsilon=core.epsilon)
    replace(core.last.outputs[0], y)
    if gamma is None or beta is None:
        return None
    mean, variance = (new_constant(graph, np.full(channels, n, np.float32), f"{name}/unit") for n in (0, 1))
    y = insert(
        last, "BatchNormalization", [after.outputs[0], scale, shift, mean, variance], f"{name}/affine", epsilon=0.0
    )
    return _finish(y, last)


def _finish(y: ir.Value, last: ir.Node) -> None:
    y.shape, y.type = last.outputs[0].shape, last.outputs[0].type
    replace(last.outputs[0], y)
