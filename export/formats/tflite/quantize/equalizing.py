"""Let every channel of a convolution use all 8 bits of its output, where a norm follows that can undo the scaling.

    x' = s_c * (x - o_c)      a convolution's output, each channel centred and scaled to the same range:
                              the kernel times s_c, the bias (b - o_c) * s_c
    m  = m' / s_c + o_c       the norm's mean and variance a channel, exactly those of x;
    v  = v' / s_c^2           only tensors of C values change
    y  = x' * (k / s_c) + (t + o_c * k)                      where the norm computes x * k + t
    y  = (x' - m') * (k / s_c) + t                           where it computes (x - m) * k + t

A quantized tensor has one scale in TFLite, so without this a channel with a tenth of the widest channel's range keeps
three bits less. The norm is one that `lowerings/pooled.py` made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....model.layer_names import NORM_SCOPE
from ...rewrite_log import logged
from ..flatbuffer_graph import Graph, position, replace_input

_CONVOLUTIONS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
_LEAST = 2.0**-10
_MEANS = {"AVERAGE_POOL_2D", "MEAN"}


@dataclass
class Pair:
    """A convolution and the norm that alone reads its output `x`: tensors, and operators that have to change."""

    convolution: Any
    x: int
    mean: int
    variance: int
    factor: int
    multiply: Any  # x * factor, or centred * factor
    readers_of_mean: list[Any]  # the operators that subtract it from x
    add: Any | None  # ... + t, where t has to change


def scales(widths: np.ndarray) -> np.ndarray:
    """What makes each channel's range one of 2; as much as for the widest where a channel hardly moves, as behind a
    layer that is always zero: its weights, scaled up, would leave the range that kernels take.
    """
    widest = max(float(widths.max()), 1e-6)
    scaled: np.ndarray = 2.0 / np.where(widths > widest * _LEAST, widths, widest)
    return scaled


def pairs(graph: Graph) -> list[Pair]:
    """Every convolution whose output nothing but one norm reads."""
    with logged("equalizing"):
        found = [_pair_of(graph, op) for op in graph.ops if graph.kind(op) in _CONVOLUTIONS]
    return [pair for pair in found if pair is not None]


def _pair_of(graph: Graph, op: Any) -> Pair | None:
    x = int(op.outputs[0])
    readers = graph.users(x)
    if graph.is_output(x) or not _own_weights(graph, op):
        graph.skip(op, "it is an output, has an activation, or its kernel or bias is computed")
    elif not readers or not all(f"/{NORM_SCOPE}/" in graph.name(int(r.outputs[0])) for r in readers):
        graph.skip(op, "something other than a norm of this package reads it")
    else:
        pair = _match(graph, op, x)
        if pair is None:
            graph.skip(op, "its norm does not read it for a mean, squares and one product or difference alone")
        return pair
    return None


def _own_weights(graph: Graph, op: Any) -> bool:
    kernel, bias = graph.constant(int(op.inputs[1])), graph.constant(int(op.inputs[2]))
    return kernel is not None and bias is not None and op.builtinOptions.fusedActivationFunction == 0


def _match(graph: Graph, convolution: Any, x: int) -> Pair | None:
    readers = graph.users(x)
    by_kind = {graph.kind(reader): reader for reader in readers}
    if len(readers) != 3 or len(by_kind) != 3:  # its mean, its squares, and the product or difference that goes on
        return None
    average = next((by_kind[kind] for kind in by_kind if kind in _MEANS), None)
    squares, centred = by_kind.get("SQUARED_DIFFERENCE"), by_kind.get("SUB")
    if average is None or squares is None:
        return None
    mean = _end_of_means(graph, average)
    through = x if centred is None else int(centred.outputs[0])
    multiply = by_kind.get("MUL") if centred is None else _only(graph.users(through), graph, "MUL")
    readers_of_mean = [op for op in (squares, centred) if op is not None]
    averages = _only(graph.users(int(squares.outputs[0])), graph, *_MEANS)
    if multiply is None or averages is None or any(_other(op, x) != mean for op in readers_of_mean):
        return None
    variance, factor = _end_of_means(graph, averages), _other(multiply, through)
    add = None if centred is not None else _only(graph.users(int(multiply.outputs[0])), graph, "ADD")
    sizes = {math.prod(graph.shape(tensor)) for tensor in (mean, variance, factor)}
    if factor < 0 or sizes != {graph.shape(x)[-1]} or (add is None and centred is None):
        return None
    return Pair(convolution, x, mean, variance, factor, multiply, readers_of_mean, add)


def _only(ops: list[Any], graph: Graph, *kinds: str) -> Any:
    """The one operator in a list, if it is of one of these kinds."""
    return ops[0] if len(ops) == 1 and graph.kind(ops[0]) in kinds else None


def _end_of_means(graph: Graph, op: Any) -> int:
    while True:
        users = graph.users(int(op.outputs[0]))
        if len(users) != 1 or graph.kind(users[0]) not in _MEANS or len(graph.shape(int(users[0].inputs[0]))) != 4:
            return int(op.outputs[0])
        op = users[0]


def _other(op: Any, tensor: int) -> int:
    """The input of a binary operator beside `tensor`; -1 where both are it."""
    return next((int(i) for i in op.inputs if int(i) != tensor), -1)


def equalize(graph: Graph, pair: Pair, scale: np.ndarray, offset: np.ndarray) -> None:
    """Make the convolution give scale * (x - offset), and the norm behind it take that for x."""
    scale_weights(graph, pair.convolution, scale, offset)
    name = graph.name(pair.mean).split(";")[0].rpartition("/")[0]
    shape = graph.shape(pair.mean)

    def constant(values: np.ndarray, what: str) -> int:
        return graph.add_constant(values.reshape(shape), f"{name}/{what}")

    def first_of(readers: list[Any]) -> Any:
        return min(readers, key=lambda op: position(graph, op))

    inverse, middle = constant(1.0 / scale, "inverse_scale"), constant(offset, "offset")

    others = [op for op in graph.users(pair.mean) if not any(op is r for r in pair.readers_of_mean)]
    if others:
        before = first_of(others)
        m = graph.insert_binary("MUL", before, pair.mean, inverse, f"{name}/unscaled_mean")
        m = graph.insert_binary("ADD", before, m, middle, f"{name}/true_mean")
        for op in others:
            replace_input(op, pair.mean, m)
    readers = graph.users(pair.variance)
    v = graph.insert_binary(
        "MUL", first_of(readers), pair.variance, constant(scale**-2.0, "inverse_scale_squared"), f"{name}/true_variance"
    )
    for op in readers:
        replace_input(op, pair.variance, v)
    if pair.add is not None:
        t = _other(pair.add, int(pair.multiply.outputs[0]))
        shift = graph.insert_binary("MUL", pair.multiply, pair.factor, middle, f"{name}/shift_of_offset")
        replace_input(pair.add, t, graph.insert_binary("ADD", pair.add, t, shift, f"{name}/true_shift"))
    k = graph.insert_binary("MUL", pair.multiply, pair.factor, inverse, f"{name}/scaled_factor")
    replace_input(pair.multiply, pair.factor, k)
    graph.index()


def scale_weights(graph: Graph, op: Any, scale: np.ndarray, offset: np.ndarray) -> None:
    """Make a convolution give scale * (x - offset)."""
    axis = _CONVOLUTIONS[graph.kind(op)]
    kernel, bias = (graph.constant(int(i)).astype(np.float64) for i in op.inputs[1:3])
    along = [-1 if i == axis else 1 for i in range(4)]
    name = graph.name(int(op.outputs[0])).split(";")[0]
    op.inputs = np.array(
        [
            op.inputs[0],
            graph.add_constant(kernel * scale.reshape(along), f"{name}/equalized_kernel"),
            graph.add_constant((bias - offset) * scale, f"{name}/equalized_bias"),
        ],
        np.int32,
    )
