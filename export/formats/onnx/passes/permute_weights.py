"""Flattened images whose features stand in another order: the weights around them take the permutation, once.

    flatten(transpose(x)) W = flatten(x) P W        transpose(reshape(z W + b)) = reshape(z W P + b P)

The ends of a block of features have to be weights that can be permuted, sums over all of it, or other images of the
same shape, which then turn with it; one end that cannot follow, and the block stays as it is.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from .feature_block import Block, Place, image_of, steps
from .ir_utils import array_of, input_of, integers, new_constant, new_integers, permuted, static
from .permute_op import Perm
from .skips import skip


class Features:
    """The blocks of a graph that can follow when the images that they come from, or become, are turned."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self.images: dict[ir.Node, ir.Value] = {}  # of each Reshape that may turn
        self._blocks: dict[ir.Node, Block] = {}
        self._made: dict[tuple[ir.Value, int, bytes], ir.Value] = {}
        for node in graph:
            image = image_of(node) if node not in self._blocks else None
            block = self._block(node, image) if image is not None else None
            for other in block.reshapes if block is not None else ():
                found = image_of(other)
                if block is not None and found is not None:
                    self._blocks[other], self.images[other] = block, found

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
            target = [(integers(node.inputs[1]) or [0])[0], *(block.sizes[i - 1] for i in perm[1:])]
            node.replace_input_with(1, new_integers(self._graph, target, f"{node.name}/turned"))
            image.shape = permuted(image.shape, perm)

    def _permuted(self, node: ir.Node, i: int, axis: int, start: int, order: NDArray[Any]) -> ir.Value:
        value, array = input_of(node, i), array_of(node.inputs[i])
        index = np.arange(array.shape[axis])
        index[start : start + len(order)] = start + order
        key = value, axis, index.tobytes()
        if key not in self._made:  # weights that several nodes share stay shared
            self._made[key] = new_constant(self._graph, array.take(index, axis), f"{node.name}/permuted")
        return self._made[key]

    def _block(self, first: ir.Node, image: ir.Value) -> Block | None:
        """The block that `first` leads to from `image`, or makes it of; None where one end cannot follow."""
        block = Block(tuple(n or 0 for n in (static(image) or ())[1:]), {first: None})
        if sum(n != 1 for n in block.sizes) <= 1:  # no order to speak of
            return block
        todo: list[Place] = [(first.outputs[0] if image is first.inputs[0] else input_of(first, 0), 0)]
        seen = set()
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            further = self._further(block, place)
            if further is None:
                skip(first, f"its features cannot change their order: at '{place[0].name}' something needs it")
                return None
            todo += further
        return block

    def _further(self, block: Block, place: Place) -> list[Place] | None:
        """Where the block goes on from `place`."""
        value, found = place[0], list[Place]()
        producer = value.producer()
        if producer is None or value.is_graph_output():
            return None
        for node, i in ((producer, None), *value.uses()):
            on = steps(block, node, i, place) if node.graph is self._graph and node not in self._blocks else None
            if on is None:
                return None
            found += on
        return found
