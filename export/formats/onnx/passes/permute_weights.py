"""Flattened images whose features stand in another order: the weights around them take the permutation, once.

    flatten(transpose(x)) W = flatten(x) P W        transpose(reshape(z W + b)) = reshape(z W P + b P)

A block of features is what comes from flattening an image, or what an image is made of, and whatever is computed of it
feature by feature. Its ends have to be weights that can be permuted, sums over all of it, or other images of the same
shape, which then turn with it; one end that cannot follow, and the block stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, new_constant, static
from .permute_op import ELEMENTWISE, REDUCE, UNARY, Perm, reduced_axes

_RECURRENT = ("GRU", "LSTM", "RNN")
_ALONG = ("Hardmax", "LogSoftmax", "Softmax")
_NORMS = ("BatchNormalization", "LayerNormalization", "RMSNormalization")
_FLAT, _STEPS = 2, 3  # ranks of [batch, features] and [batch, time, features]
_Place = tuple[ir.Value, int]  # a block's features start there along the last axis


@dataclass
class _Block:
    """`reshapes` lead between images of `sizes` and features; `weights` are (node, constant input, axis, start)."""

    sizes: tuple[int, ...]
    reshapes: dict[ir.Node, None] = field(default_factory=dict)
    weights: dict[tuple[ir.Node, int, int, int], None] = field(default_factory=dict)
    permuted: bool = False


def image_of(node: ir.Node) -> ir.Value | None:
    """The side of a Reshape whose axes, all but the first, are one axis on the other side."""
    if node.op_type not in ("Flatten", "Reshape") or not node.inputs or node.inputs[0] is None:
        return None
    x, y = node.inputs[0], node.outputs[0]
    if node.op_type == "Flatten":
        return x if attribute(node, "axis", 1) == 1 and _is_image(x, y) else None
    target = constant(node.inputs[1])
    if target is None:
        return None
    if _is_image(x, y) and 0 not in target[1:]:
        return x
    return y if _is_image(y, x) and len(target) == len(y.shape or ()) else None


def _is_image(image: ir.Value, features: ir.Value) -> bool:
    sizes, flat = static(image), static(features)
    if sizes is None or flat is None or len(sizes) < 3 or len(flat) < _FLAT or None in sizes[1:]:
        return False
    return math.prod(sizes[1:]) == flat[-1]  # type: ignore[arg-type]


class Features:
    """The blocks of a graph that can follow when the images that they come from, or become, are turned."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self.images: dict[ir.Node, ir.Value] = {}  # of each Reshape that may turn
        self._blocks: dict[ir.Node, _Block] = {}
        self._made: dict[tuple[ir.Value, int, bytes], ir.Value] = {}
        for node in graph:
            image = image_of(node) if node not in self._blocks else None
            block = self._block(node, image) if image is not None else None
            for other in block.reshapes if block is not None else ():
                self._blocks[other], self.images[other] = block, image_of(other)  # type: ignore[assignment]

    def together(self, node: ir.Node) -> list[ir.Node]:
        """The Reshapes that have to turn when `node` does."""
        return list(self._blocks[node].reshapes)

    def turn(self, node: ir.Node, perm: Perm) -> None:
        """Let `node` flatten, or make, an image whose axes stand in the order `perm`, and weights follow."""
        block, image = self._blocks[node], self.images[node]
        order = np.arange(math.prod(block.sizes)).reshape(block.sizes).transpose([i - 1 for i in perm[1:]]).reshape(-1)
        if not block.permuted:
            for user, i, axis, start in block.weights:
                user.replace_input_with(i, self._permuted(user, i, axis, start, order))
            block.permuted = True
        if image is node.outputs[0]:
            target = [int(constant(node.inputs[1])[0]), *(block.sizes[i - 1] for i in perm[1:])]  # type: ignore[index]
            node.replace_input_with(1, new_constant(self._graph, np.array(target, np.int64), f"{node.name}/turned"))
            image.shape = ir.Shape([image.shape[i] for i in perm])  # type: ignore[index,union-attr]

    def _permuted(self, node: ir.Node, i: int, axis: int, start: int, order: np.ndarray) -> ir.Value:
        value, array = node.inputs[i], constant(node.inputs[i])
        assert value is not None
        assert array is not None
        index = np.arange(array.shape[axis])
        index[start : start + len(order)] = start + order
        key = value, axis, index.tobytes()
        if key not in self._made:  # weights that several nodes share stay shared
            self._made[key] = new_constant(self._graph, array.take(index, axis), f"{node.name}/permuted")
        return self._made[key]

    def _block(self, first: ir.Node, image: ir.Value) -> _Block | None:
        block = _Block(tuple(n or 0 for n in (static(image) or ())[1:]), {first: None})
        if sum(n != 1 for n in block.sizes) <= 1:  # no order to speak of
            return block
        todo: list[_Place] = [(first.outputs[0] if image is first.inputs[0] else first.inputs[0], 0)]  # type: ignore[list-item]
        seen = set()
        while todo:
            value, start = place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            producer = value.producer()
            if producer is None or value.is_graph_output():
                return None
            for node, i in ((producer, None), *value.uses()):
                if node.graph is not self._graph or node in self._blocks:
                    return None
                step = self._steps(block, node, i, (value, start))
                if step is None:
                    return None
                todo += step
        return block

    @staticmethod
    def _steps(block: _Block, node: ir.Node, i: int | None, place: _Place) -> list[_Place] | None:
        """Where the block goes on through `node`, which makes `place` or takes it as input `i`; None if it cannot."""
        kind, (value, start), width = node.op_type, place, math.prod(block.sizes)
        rank, whole = len(value.shape or ()), (static(value) or (None,))[-1]
        made, other = i is None, node.inputs[0] if i is None else node.outputs[0]
        if whole is None or not _FLAT <= rank <= _STEPS or other is None:
            return None

        def weigh(which: int, axis: int, least: int) -> bool:
            array = constant(node.inputs[which]) if len(node.inputs) > which else None
            if array is None or array.ndim < least:
                return False
            block.weights[node, which, axis % array.ndim, start] = None
            return True

        if kind in ("Flatten", "Reshape"):
            if image_of(node) is other:
                block.reshapes[node] = None
                same = (static(other) or ())[1:] == block.sizes and whole == width
                return [] if same else None
            keeps = 1 < len(other.shape or ()) <= _STEPS and (static(other) or ())[-1] == whole
            return [(other, start)] if keeps else None
        if kind == "Transpose":
            return [(other, start)] if attribute(node, "perm", [0])[-1] == rank - 1 else None
        if kind in ("Squeeze", "Unsqueeze"):
            keeps = i != 1 and 1 < whole == (static(other) or (None,))[-1]
            return [(other, start)] if keeps else None
        if kind == "Concat" and attribute(node, "axis") % rank < rank - 1:
            return [(other, start) for other in (*node.inputs, *node.outputs) if other is not None]
        if kind == "MatMul" and i != 1 and len(node.inputs[1].shape or ()) == 2:  # type: ignore[union-attr]
            return [] if weigh(1, 1 if made else 0, 2) else None
        if kind in _RECURRENT:
            return [] if i == 0 and weigh(1, 2, 3) else None
        if rank != _FLAT:
            return None
        if kind in REDUCE:
            return [] if i == 0 and [axis % rank for axis in reduced_axes(node) or ()] == [1] else None
        if kind == "Gemm" and i in (0, None) and not attribute(node, "transA", 0):
            ok = weigh(1, int(made) ^ attribute(node, "transB", 0), 2)
            if made and len(node.inputs) > 2 and node.inputs[2] is not None:
                shape = static(node.inputs[2])
                ok = ok and (shape in ((), (1,), (1, 1)) or (bool(shape) and shape[-1] == whole and weigh(2, -1, 1)))  # type: ignore[index]
            return [] if ok else None
        if kind in _NORMS:
            last = kind == "BatchNormalization" or attribute(node, "axis", -1) % rank == 1
            ok = last and i in (0, None) and len([y for y in node.outputs if y.uses()]) == 1
            return [(other, start)] if ok and all(weigh(n, 0, 1) for n in range(1, len(node.inputs))) else None
        if kind in _ALONG:
            return [(other, start)] if attribute(node, "axis", -1) % rank == 1 else None
        if kind == "Concat" and attribute(node, "axis") % rank == 1:
            return _through_concat(node, i, start, width)
        if kind not in UNARY and kind not in ELEMENTWISE:
            return None
        found: list[_Place] = [(node.outputs[0], start)]
        for n, x in enumerate(node.inputs):
            shape = static(x) if x is not None else ()
            if shape is None or len(shape) > _FLAT or (shape and shape[-1] not in (1, whole)):
                return None
            if not shape or (shape[-1] == 1 and whole != 1):
                continue
            if constant(x) is None:
                found.append((x, start))  # type: ignore[arg-type]
            else:
                weigh(n, -1, 1)
        same = (static(node.outputs[0]) or (None,))[-1] == whole and len(node.outputs[0].shape or ()) == rank
        return found if same else None


def _through_concat(node: ir.Node, i: int | None, start: int, width: int) -> list[_Place] | None:
    widths = [(static(x) or (None,))[-1] for x in node.inputs]  # type: ignore[arg-type]
    if None in widths:
        return None
    begins = [0, *np.cumsum(widths)]  # type: ignore[arg-type]
    if i is not None:
        return [(node.outputs[0], int(begins[i]) + start)]
    inside = [n for n, x in enumerate(node.inputs) if begins[n] <= start and start + width <= begins[n + 1]]
    return [(node.inputs[n], start - int(begins[n])) for n in inside] or None  # type: ignore[misc]
