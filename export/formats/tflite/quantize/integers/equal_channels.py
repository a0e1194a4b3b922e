"""Let every channel of a layer use all bits of its output, where a norm in integers follows that can undo it.

    x' = s * (x - o)                    s, o by channel: the layer's kernel times s, its bias (b - o) * s
    mu' = s * (mean of x'/s + o) - s*o  group norm: in the weights and the bias of the 1x1 convolution of the means
    v  = mean of (d'/s)^2               in the weights of the 1x1 convolution of the variances
    y  = (d' * k) * (gamma / s) + beta  in the depthwise convolution

Instance norm is the same for every s and o but for epsilon, which becomes s^2 * epsilon. Each s is a power of two, so
that 8 bits hold the weights of a mean as exactly as before. o is 0 in 16 bits, whose grids lie around zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .....model.user_inputs import Arrays
from ...flatbuffer_graph import Graph
from ..observer import watch
from ..ranges import Extremes
from .pattern import LAYERS, Norm, norms

_LARGEST = 2.0**8


def equalize_all(graph: Graph, batches: list[Arrays], narrow: bool) -> None:
    """Equalize every layer of a float graph that a norm alone reads; `narrow`: its output will have 8 bits."""
    found = [norm for norm in norms(graph) if _can_equalize(graph, norm)]
    if not narrow:  # in 16 bits the quiet channels of a group have bits enough, and its mean is far from theirs
        found = [norm for norm in found if not norm.means or _is_instance_norm(graph, norm)]
    extremes = Extremes(norm.x for norm in found)
    watch(graph.bytes(), batches, [norm.x for norm in found], extremes.see)
    for norm in found:
        low, high = extremes.channels[norm.x]
        offset = (low + high) / 2 if narrow and norm.means else np.zeros(len(low))
        equalize(graph, norm, _scales(np.maximum(high - offset, offset - low)), offset)


def _scales(reach: np.ndarray) -> np.ndarray:
    """A power of two for each channel that brings what it reaches near the widest one's."""
    widest = reach.max()
    alive = reach > widest / _LARGEST
    return np.where(alive, 2.0 ** np.floor(np.log2(widest / np.where(alive, reach, widest))), 1.0)


def _can_equalize(graph: Graph, norm: Norm) -> bool:
    """Whether the constants of a norm can undo scales by channel."""
    channels = graph.shape(norm.x)[-1]
    if _is_instance_norm(graph, norm):
        return True
    convolutions = [op for op in norm.means if graph.kind(op) == "CONV_2D"]
    ends = graph.shape(int(convolutions[-1].inputs[1]))[0] if convolutions else channels
    starts = graph.kind(norm.variances[-1]) == "CONV_2D"
    centred = norm.centre is None or bool(convolutions)
    return norm.scale is not None and starts and centred and ends == channels


def equalize(graph: Graph, norm: Norm, scale: np.ndarray, offset: np.ndarray) -> None:
    """Make the layer give scale * (x - offset), and the norm take that for x. `offset` is 0 where no mean goes."""
    axis, rank = LAYERS[graph.kind(norm.layer)], len(graph.shape(int(norm.layer.inputs[1])))
    along = [-1 if i == axis else 1 for i in range(rank)]
    _change(graph, norm.layer, lambda kernel: kernel * scale.reshape(along), lambda bias: (bias - offset) * scale)
    if _is_instance_norm(graph, norm):
        _scale_epsilon(graph, norm.variances[-1], scale)
        return
    of_means = [op for op in norm.means if graph.kind(op) == "CONV_2D"]
    if of_means:
        # Kernels are [out, 1, 1, in].
        weights = graph.constant(int(of_means[0].inputs[1])).astype(np.float64)[:, 0, 0, :]
        _change(graph, of_means[0], lambda kernel: kernel / scale, lambda bias: bias + weights @ offset)
        _change(
            graph,
            of_means[-1],
            lambda kernel: kernel * scale.reshape(-1, 1, 1, 1),
            lambda bias: (bias - offset) * scale,
        )
    first = next(op for op in norm.variances if graph.kind(op) == "CONV_2D")
    _change(graph, first, lambda kernel: kernel / scale**2, lambda bias: bias)
    _change(graph, norm.scale, lambda kernel: kernel / scale, lambda bias: bias)


def _is_instance_norm(graph: Graph, norm: Norm) -> bool:
    kinds = [graph.kind(op) for op in norm.variances]
    return "CONV_2D" not in kinds and kinds[-1] == "ADD" and bool(norm.means)


def _scale_epsilon(graph: Graph, add: Any, scale: np.ndarray) -> None:
    place = next(i for i in range(2) if graph.constant(int(add.inputs[i])) is not None)
    epsilon = graph.constant(int(add.inputs[place])).astype(np.float64)
    add.inputs = np.array(add.inputs, np.int32)
    shape = graph.shape(int(add.inputs[1 - place]))
    values = np.broadcast_to(epsilon * scale**2, shape)
    add.inputs[place] = graph.add_constant(values, f"{graph.name(int(add.outputs[0]))}/epsilon")


def _change(graph: Graph, op: Any, kernel: Any, bias: Any) -> None:
    name = graph.name(int(op.outputs[0])).split(";")[0]
    given = [graph.constant(int(i)).astype(np.float64) for i in op.inputs[1:3]]
    op.inputs = np.array(
        [
            op.inputs[0],
            graph.add_constant(kernel(given[0]), f"{name}/equalized_kernel"),
            graph.add_constant(bias(given[1]), f"{name}/equalized_bias"),
        ],
        np.int32,
    )
