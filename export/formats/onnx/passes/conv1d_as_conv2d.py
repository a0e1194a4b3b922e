"""One-dimensional convolutions as images of one row, which ONNX Runtime runs in the blocked layout of its kernels.

A value of rank 3 gets its row where images have it: second to last before the positions where channels are second,
second where they are last, [N, C, L] -> [N, C, 1, L] and [N, L, C] -> [N, 1, L, C]. Which operations run on such images
is a minimum cut: a convolution that gains has to, an operation that cannot be rewritten must not, the others go where
the fewest Unsqueezes and Squeezes are needed. A Reshape takes and gives either at no cost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import TypeAlias

import onnx_ir as ir

from .ir_utils import constant, integer, integers, made_by, new_integers, rank_of
from .lift_to_2d import NORMS, OVER_LAST, SERIES, SPATIAL, lift, liftable
from .min_cut import SINK, SOURCE, Cut
from .pass_types import PassOptions
from .skips import skip

_BLOCK = 16  # channels; a convolution to a number of others gains nothing
_NEVER = float("inf")
_Uses: TypeAlias = "list[tuple[ir.Node, int]]"


def conv1d_as_conv2d(model: ir.Model, _options: PassOptions) -> None:
    """Lift chains of one-dimensional convolutions to two dimensions, between one Unsqueeze and one Squeeze."""
    gaining = [node for node in model.graph if node.op_type == "Conv" and _gains(node)]
    if gaining:
        _Images(model.graph, gaining).lift()


def _gains(node: ir.Node) -> bool:
    kernel = constant(node.inputs[1])
    if rank_of(node.inputs[0]) != SERIES or kernel is None or not liftable(node):
        skip(node, "it is not of one dimension, or its kernel is computed")
        return False
    gains = kernel.shape[0] % _BLOCK == 0 or integer(node, "group", 1) == kernel.shape[0]
    if not gains:
        skip(node, f"its {kernel.shape[0]} channels do not fill blocks of {_BLOCK}")
    return gains


class _Images:
    """The values around convolutions that gain, each with the axis where its row would go."""

    def __init__(self, graph: ir.Graph, gaining: list[ir.Node]) -> None:
        self._graph, self._gaining = graph, gaining
        self._row: dict[ir.Value, int] = {}
        self._nodes: set[ir.Node] = set()
        self._spread()

    def _spread(self) -> None:
        """Find what is connected with the convolutions, and on which axis each value would have its row."""
        todo, refused = [(node.inputs[0], 2) for node in self._gaining], set[ir.Node]()
        while todo:
            value, row = todo.pop()
            if value is None or value in self._row:
                continue
            self._row[value] = row
            for node in (value.producer(), *(use.node for use in value.uses())):
                if node is None or node.graph is not self._graph or node in refused or not liftable(node):
                    continue
                channels = node.op_type in SPATIAL or node.op_type in NORMS
                if (channels and row != 2) or (node.op_type in OVER_LAST and row != 1):
                    refused.add(node)
                    continue
                self._nodes.add(node)
                other = SERIES - row if node.op_type == "Transpose" else row
                todo += [(v, row if v is value else other) for v in _carried(node)]
        for node in list(self._nodes):
            rows = {self._row[v] for v in _carried(node)}
            if node in refused or len(rows) != (2 if node.op_type == "Transpose" else 1):
                skip(node, "its values would not have their row in one place")
                self._nodes.discard(node)

    def _side(self, node: ir.Node | None, value: ir.Value, made: bool) -> Hashable:
        """What decides whether `value` is an image where `node` makes or uses it."""
        if node in self._nodes:
            return node
        if node is not None and node.op_type == "Reshape" and node.graph is self._graph:
            target = integers(node.inputs[1])
            if target is not None and (value is node.outputs[0] or value is node.inputs[0]):
                clear = 0 not in target[self._row[value] :] and integer(node, "allowzero", 0) == 0
                return (node, made) if clear else SOURCE
        return SOURCE

    def _cut(self) -> set[Hashable]:
        """What runs on series as before."""
        cut = Cut()
        for node in self._gaining:
            cut.add(node, SINK, _NEVER)
        for node in self._nodes:
            if node.op_type in OVER_LAST:  # a transformer behind convolutions stays as it is
                cut.add(SOURCE, node, 0.1)
        for value in self._row:
            start = self._side(value.producer(), value, True)
            ends = {self._side(use.node, value, False) for use in value.uses()}
            ends |= {SOURCE} if value.is_graph_output() else set()
            cut.add(start, ("image", value), 1.0)
            cut.add(("flat", value), start, 1.0)
            for end in ends:
                cut.add(("image", value), end, _NEVER)
                cut.add(end, ("flat", value), _NEVER)
        return cut.labels()

    def lift(self) -> None:
        """Rewrite what the cut puts on the side of images, and convert between the sides."""
        flat, kernels = self._cut(), dict[ir.Value, ir.Value]()
        images = {value for value in self._row if self._side(value.producer(), value, True) not in flat}
        wanted: dict[ir.Value, _Uses] = defaultdict(list)  # in the other form than the value is made in
        for value in self._row:
            for use in value.uses():
                if (self._side(use.node, value, False) not in flat) != (value in images):
                    wanted[value].append((use.node, use.idx))
        for node in self._nodes:
            if node in flat:
                skip(node, "on images it would need more Unsqueezes and Squeezes")
            else:
                lift(node, self._row[_carried(node)[0]], kernels)
        for value in images:
            self._reshape_to_image(value)
        for value, row in self._row.items():
            self._settle(value, row, value in images, wanted[value])

    def _reshape_to_image(self, value: ir.Value) -> None:
        reshape = made_by(value, "Reshape")
        if reshape is not None:
            target = integers(reshape.inputs[1]) or []
            target.insert(self._row[value], 1)
            reshape.replace_input_with(1, new_integers(self._graph, target, f"{reshape.name}/image"))

    def _settle(self, value: ir.Value, row: int, image: bool, wanted: _Uses) -> None:
        """Give `value` its shape, and its users what they want."""
        shape = value.shape
        lifted = None if shape is None else ir.Shape([*shape[:row], 1, *shape[row:]])
        if image and lifted is not None:
            value.shape = lifted
        if wanted or (image and value.is_graph_output()):
            self._convert(value, row, shape if image else lifted, wanted, image)

    def _convert(self, value: ir.Value, row: int, shape: ir.Shape | None, uses: _Uses, image: bool) -> None:
        kind = "Squeeze" if image else "Unsqueeze"
        node = ir.node(kind, [value, new_integers(self._graph, [row], f"series/{kind}/axes")], name=f"series/{kind}")
        new, producer = node.outputs[0], value.producer()
        new.name, new.type, new.shape = f"{value.name}/{kind}", value.type, shape
        if producer is not None:
            producer.append(node)
        else:
            self._graph[0].prepend(node)
        for user, i in uses:
            user.replace_input_with(i, new)
        if value.is_graph_output() and image:
            for i, output in enumerate(list(self._graph.outputs)):
                if output is value:
                    self._graph.outputs[i] = new
            new.name, value.name = value.name, new.name


def _carried(node: ir.Node) -> list[ir.Value]:
    """What `node` takes and gives of series."""
    inputs = [v for v in node.inputs if v is not None and constant(v) is None and rank_of(v) == SERIES]
    keeps = not node.op_type.startswith("Reduce") or integer(node, "keepdims", 1) == 1
    return inputs + [y for y in node.outputs if keeps and rank_of(y) == SERIES]
