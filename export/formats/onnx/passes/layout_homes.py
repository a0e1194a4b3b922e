"""In which layout the axes of each value stand as the graph was written: its home.

Convolutions tell that of what they take and make, and operations that are no matter of layout carry it on. A transpose
from one home to the other changes no value, only its storage.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import onnx_ir as ir

from .group_norm_op import GROUPS
from .ir_utils import input_of, integer, integer_list, rank_of
from .permute_op import ONE_WAY, leaves, turnable
from .permute_weights import Features
from .skips import skip

Side: TypeAlias = Literal["channels first", "channels last"]
FIRST: Side = "channels first"
LAST: Side = "channels last"
OTHER: dict[Side, Side] = {FIRST: LAST, LAST: FIRST}
_NAMES = """
    AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool GroupNormalization
    InstanceNormalization LRN MaxPool Resize SpaceToDepth
"""
_CONVOLUTIONAL = frozenset((*_NAMES.split(), GROUPS))
_LEAST_RANK = 3  # of what has a layout


def perm_to(side: Side, rank: int) -> tuple[int, ...]:
    """The permutation of the axes that leads to `side` from the other."""
    return (0, rank - 1, *range(1, rank - 1)) if side == FIRST else (0, *range(2, rank), 1)


class Homes:
    """The homes of a graph's values, and the nodes that may run in either layout, with their ranks."""

    def __init__(self, graph: ir.Graph, untold: Side) -> None:
        self._graph, self._nodes = graph, list(graph)
        self.home: dict[ir.Value, Side] = {}
        self.features = Features(graph)
        self.images = self.features.images
        self.flexible: dict[ir.Node, int] = self._find_flexible()
        self._find_homes(untold)
        self._drop_divided()
        self._root: dict[ir.Value, ir.Value] = {}
        for node in self._nodes:
            for output in node.outputs:
                self._root[output] = self.root(input_of(node, 0)) if self.is_change(node) else output

    def root(self, value: ir.Value) -> ir.Value:
        """What `value` is but for transposes from one home to the other."""
        return self._root.get(value, value)

    def is_change(self, node: ir.Node) -> bool:
        """Whether `node` is a transpose that leads from the home of its input to that of its output."""
        if node.op_type != "Transpose":
            return False
        before, side = self.home.get(input_of(node, 0)), self.home.get(node.outputs[0])
        perm = tuple(integer_list(node, "perm"))
        return before is not None and side is not None and before != side and perm == perm_to(side, len(perm))

    def carried(self, node: ir.Node) -> list[ir.Value]:
        """The values of a flexible node that have its layout."""
        if node in self.images:
            return [self.images[node]]
        rank = self.flexible[node]
        inputs = [x for x in node.inputs if x is not None and x.const_value is None and rank_of(x) == rank]
        return inputs + [y for y in node.outputs if rank_of(y) == rank and not _shrinks(node)]

    def carries(self, node: ir.Node | None, value: ir.Value) -> bool:
        """Whether `node` is flexible and `value` has its layout."""
        return node is not None and node in self.flexible and value in self.carried(node)

    def _find_flexible(self) -> dict[ir.Node, int]:
        found = {node: rank_of(image) for node, image in self.images.items()}
        for node in self._nodes:
            if node in found or node.op_type == "Transpose":
                continue
            ranks = [rank_of(x) for x in node.inputs if x is not None and x.const_value is None]
            rank = next((n for n in ranks if n >= _LEAST_RANK), rank_of(node.inputs[0]) if node.inputs else 0)
            if rank < _LEAST_RANK:
                continue
            if any(y.shape is None for y in node.outputs):
                skip(node, "the rank of what it makes is not known")
                continue
            if turnable(node, rank) or leaves(node, rank, perm_to(FIRST, rank)):
                found[node] = rank
            elif node.op_type in _CONVOLUTIONAL:
                skip(node, "it runs with channels first only")
            else:
                skip(node, "it is not known how to run it in the other layout")
        return found

    def _find_homes(self, untold: Side) -> None:
        """Spread the layout of convolutions, then that of the model from its inputs and outputs, then to the rest."""
        seeds: list[tuple[ir.Value, Side]] = []
        for node in self._nodes:
            if node.op_type in _CONVOLUTIONAL:
                seeds += [(v, FIRST) for v in (node.inputs[0], *node.outputs) if v is not None and _has_layout(v)]
        self._spread(seeds)
        self._spread([(v, untold) for v in (*self._graph.inputs, *self._graph.outputs) if _has_layout(v)])
        for node in self._nodes:
            ends = (*node.inputs, *node.outputs)
            self._spread([(v, untold) for v in ends if v is not None and _has_layout(v)])

    def _spread(self, seeds: list[tuple[ir.Value, Side]]) -> None:
        while seeds:
            value, side = seeds.pop()
            if value in self.home or value.const_value is not None or value.shape is None:
                continue
            self.home[value] = side
            for node in (value.producer(), *(use.node for use in value.uses())):
                if node is None or node.graph is not self._graph:
                    continue
                if node.op_type == "Transpose" and _is_swap(node):
                    seeds += [(v, OTHER[side]) for v in (input_of(node, 0), node.outputs[0]) if v is not value]
                elif node in self.flexible:
                    seeds += [(v, side) for v in self.carried(node)]

    def _drop_divided(self) -> None:
        """Keep those from turning whose values, or whose images, have not all one home."""
        for node in list(self.flexible):
            sides = {self.home[v] for v in self.carried(node)}
            if len(sides) > 1 or (node.op_type in ONE_WAY and sides == {FIRST}):
                skip(node, "its values have not all one home, or it cannot turn from that")
                del self.flexible[node]
        for node in self.images:
            if len({self.home[self.images[other]] for other in self.features.together(node)}) > 1:
                skip(node, "the images that would turn together have not all one home")
                self.flexible.pop(node, None)


def _has_layout(value: ir.Value) -> bool:
    return rank_of(value) >= _LEAST_RANK


def _is_swap(node: ir.Node) -> bool:
    perm = tuple(integer_list(node, "perm"))
    return len(perm) >= _LEAST_RANK and perm in (perm_to(FIRST, len(perm)), perm_to(LAST, len(perm)))


def _shrinks(node: ir.Node) -> bool:
    return node.op_type == "Squeeze" or (node.op_type.startswith("Reduce") and integer(node, "keepdims", 1) == 0)
