"""A norm in the form of `lowerings/integer.py`, found in a float graph behind the layer that alone feeds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...flatbuffer_graph import Graph

LAYERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}  # the axis of output channels of the kernel
_STEPS = ("MEAN", "CONV_2D", "ADD")


@dataclass
class Norm:
    """The operators between a layer's output x and the norm's: x - mean, squares, their mean v, the product by k."""

    layer: Any  # a convolution or a dense layer with constant weights
    x: int
    means: list[Any]  # from x to the mean that is subtracted; none where nothing is
    centre: Any | None  # x - mean
    variances: list[Any]  # from the squares to v, the last with epsilon
    scale: Any | None  # the depthwise convolution of gamma and beta


def norms(graph: Graph) -> list[Norm]:
    """Every norm that alone reads the output of a layer with constant weights and without an activation."""
    return [norm for norm in (_behind(graph, op) for op in graph.ops if graph.kind(op) in LAYERS) if norm is not None]


def _behind(graph: Graph, layer: Any) -> Norm | None:
    x = int(layer.outputs[0])
    if layer.builtinOptions.fusedActivationFunction or graph.is_output(x) or not _has_weights(graph, layer):
        return None
    readers = graph.users(x)
    centre = next((op for op in readers if graph.kind(op) == "SUB" and int(op.inputs[0]) == x), None)
    means: list[Any] = []
    if centre is not None:
        if len(readers) != 2:
            return None
        first = next(op for op in readers if op is not centre)
        means = _steps(graph, first, lambda op: op is centre)
        if not means:
            return None
    d = x if centre is None else int(centre.outputs[0])
    square = next((op for op in graph.users(d) if _is_square(graph, op)), None)
    product = next((op for op in graph.users(d) if graph.kind(op) == "MUL" and op is not square), None)
    if square is None or product is None or len(graph.users(d)) != 2:
        return None
    following = graph.users(int(square.outputs[0]))
    variances = _steps(graph, following[0], lambda op: graph.kind(op) == "RSQRT") if len(following) == 1 else []
    if not variances:
        return None
    root = graph.users(int(variances[-1].outputs[0]))[0]
    if int(root.outputs[0]) not in (int(i) for i in product.inputs):
        return None
    return Norm(layer, x, means, centre, variances, _scaling(graph, product))


def _has_weights(graph: Graph, layer: Any) -> bool:
    return len(layer.inputs) > 2 and all(graph.constant(int(i)) is not None for i in layer.inputs[1:3])


def _is_square(graph: Graph, op: Any) -> bool:
    return graph.kind(op) == "MUL" and int(op.inputs[0]) == int(op.inputs[1])


def _steps(graph: Graph, op: Any, is_end: Any) -> list[Any]:
    """The operators from `op` to the one before an end, each the only reader of the one before; none if not so."""
    found = []
    while graph.kind(op) in _STEPS:
        found.append(op)
        readers = graph.users(int(op.outputs[0]))
        if len(readers) != 1:
            return []
        if is_end(readers[0]):
            return found
        op = readers[0]
    return []


def _scaling(graph: Graph, product: Any) -> Any | None:
    readers = graph.users(int(product.outputs[0]))
    if len(readers) != 1 or graph.kind(readers[0]) != "DEPTHWISE_CONV_2D":
        return None
    return readers[0] if graph.shape(int(readers[0].inputs[1]))[:3] == (1, 1, 1) else None
