"""Add up in stages what LiteRT's kernels would add up one by one: MEAN, SUM and windows of AVERAGE_POOL_2D.

    MEAN(x, [H, W])   becomes   MEAN(MEAN(x, W), [H, 1])                    the axes apart
    MEAN(x, [L])      becomes   MEAN(MEAN(RESHAPE(x, [a, b]), b), [a])      L = a * b
                                with zeros behind x where L has no factors, and a scale for them
    a pool of h x w   becomes   a pool of 1 x w, then one of h x 1

The last operator is the old one, which reads a smaller tensor. Means of integers are exact and stay. An axis of free
size stays too, since no reshape fits all its sizes; so does a window along one axis that does not part evenly.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from ... import stages
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph, position


def in_stages(flatbuffer: bytes, limits: stages.Limits) -> bytes:
    """The file with every float sum that is longer than `limits` cut; the same bytes if there is none."""
    graph, changed = Graph(flatbuffer), False
    with logged("stage_sums", lambda: len(graph.ops)):
        pending = [op for op in graph.ops if graph.kind(op) in _CUTS and graph.is_float(int(op.outputs[0]))]
        while pending:
            op = pending.pop()
            first = _CUTS[graph.kind(op)](graph, op, limits)
            if first is not None:
                pending += [first, op]
                changed = True
    graph.index()
    return graph.bytes() if changed else flatbuffer


def reduced_axes(graph: Graph, op: Any) -> list[int]:
    """The axes that a MEAN or SUM reduces and that are not of size 1; empty if they are computed."""
    sizes, axes = graph.sizes(int(op.inputs[0])), graph.constant(int(op.inputs[1]))
    found = set() if axes is None else {int(axis) % len(sizes) for axis in axes.reshape(-1)}
    return [axis for axis in sorted(found) if sizes[axis] != 1]


def _cut_reduction(graph: Graph, op: Any, limits: stages.Limits) -> Any:
    """Let a stage come before `op` and return it; None if `op` may stay, or has to."""
    sizes, axes = list(graph.sizes(int(op.inputs[0]))), reduced_axes(graph, op)
    counts = [sizes[axis] for axis in axes]
    if graph.constant(int(op.inputs[1])) is None or not graph.is_float(int(op.inputs[0])):
        graph.skip(op, "its axes are computed, or it is not in float32")
        return None
    if not counts or not stages.too_long(counts, limits):
        return None
    if len(axes) > 1:
        inner = axes[-stages.inner_axes(counts) :]
        return _reduce_before(graph, op, inner, [1 if i in inner else n for i, n in enumerate(sizes)], keep=True)
    if counts[0] is None or sizes.count(None) > 1:
        graph.skip(op, "no reshape parts an axis of free size, or one beside several")
        return None
    axis, (a, b) = axes[0], stages.factors(counts[0], limits.along)
    missing = a * b - counts[0]
    if missing:
        _read(op, _padded(graph, op, axis, missing))
    _read(op, _reshaped(graph, op, [*sizes[:axis], a, b, *sizes[axis + 1 :]]))
    first = _reduce_before(graph, op, [axis + 1], [*sizes[:axis], a, *sizes[axis + 1 :]], keep=False)
    if missing and graph.kind(op) == "MEAN":
        _read(op, _scaled(graph, op, a * b / counts[0]))
    return first


def _cut_window(graph: Graph, op: Any, limits: stages.Limits) -> Any:
    options, sizes = op.builtinOptions, list(graph.sizes(int(op.inputs[0])))
    size = (options.filterHeight, options.filterWidth)
    counts = [n for n in size if n > 1]
    if not counts or not stages.too_long(counts, limits):
        return None
    columns = size[1] > 1  # the window's columns come first, where there are any
    if len(counts) > 1:
        before, stride, after, rest = size[1], options.strideW, 1, 1
        made = graph.sizes(int(op.outputs[0]))[2]
    else:
        once = graph.sizes(int(op.outputs[0]))[1 + columns] == 1
        stride = counts[0] if once else (options.strideH, options.strideW)[columns]
        before = stages.window(counts[0], stride) if options.padding == schema.Padding.VALID else 1
        length = sizes[1 + columns]
        if before in (1, counts[0]) or length is None:
            graph.skip(op, "its window along one axis is padded, does not part evenly, or is on a free size")
            return None
        after, rest, stride, made = counts[0] // before, stride // before, before, length // before
    first = copy.deepcopy(op)
    first.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    _set_window(first, columns, before, stride)
    _set_window(first, not columns, 1, 1)
    _set_window(op, columns, after, rest)
    sizes[1 + columns] = made
    return _put_before(graph, op, first, sizes)


def _set_window(op: Any, columns: bool, size: int, stride: int) -> None:
    side, options = "Width" if columns else "Height", op.builtinOptions
    setattr(options, f"filter{side}", size)
    setattr(options, f"stride{side[0]}", stride)


def _reduce_before(graph: Graph, op: Any, axes: list[int], sizes: list[int | None], keep: bool) -> Any:
    first = copy.deepcopy(op)
    constant = graph.add_constant(np.array(axes, np.int32), f"{_name(graph, op)}/axes")
    first.inputs = np.array([op.inputs[0], constant], np.int32)
    first.builtinOptions.keepDims = keep
    return _put_before(graph, op, first, sizes)


def _put_before(graph: Graph, op: Any, first: Any, sizes: list[int | None]) -> Any:
    """Let `op` read what `first`, which makes a tensor of these sizes, makes of its input."""
    first.outputs = np.array([graph.add_sized(sizes, _name(graph, op))], np.int32)
    graph.ops.insert(position(graph, op), first)
    _read(op, int(first.outputs[0]))
    return first


def _read(op: Any, tensor: int) -> None:
    op.inputs = np.array([tensor, *op.inputs[1:]], np.int32)


def _reshaped(graph: Graph, op: Any, sizes: list[int | None]) -> int:
    shape = graph.add_constant(np.array([-1 if n is None else n for n in sizes], np.int32), f"{_name(graph, op)}/shape")
    made = graph.add_sized(sizes, _name(graph, op))
    graph.insert("RESHAPE", op, [int(op.inputs[0]), shape], made)
    return made


def _padded(graph: Graph, op: Any, axis: int, zeros: int) -> int:
    sizes = list(graph.sizes(int(op.inputs[0])))
    around = np.zeros((len(sizes), 2), np.int32)
    around[axis, 1] = zeros
    sizes[axis] = (sizes[axis] or 0) + zeros
    made = graph.add_sized(sizes, _name(graph, op))
    paddings = graph.add_constant(around, f"{_name(graph, op)}/paddings")
    graph.insert("PAD", op, [int(op.inputs[0]), paddings], made)
    return made


def _scaled(graph: Graph, op: Any, factor: float) -> int:
    tensor, name = int(op.inputs[0]), _name(graph, op)
    made = graph.add_sized(graph.sizes(tensor), name)
    graph.insert("MUL", op, [tensor, graph.add_constant(np.array(factor), f"{name}/scale")], made)
    return made


def _name(graph: Graph, op: Any) -> str:
    """A name in the scope of the operator's own, so that its layer and its norm can be read off it."""
    return f"{graph.name(int(op.outputs[0]))}_in_stages"


_CUTS: dict[str, Callable[[Graph, Any, stages.Limits], Any]] = {
    "MEAN": _cut_reduction,
    "SUM": _cut_reduction,
    "AVERAGE_POOL_2D": _cut_window,
}
