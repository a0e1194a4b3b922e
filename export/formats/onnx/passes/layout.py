"""One layout for a whole graph: channels first, where convolutions are, with as few transposes as there can be.

Keras keeps channels last, ONNX convolutions want them first, and the converter puts transposes around each of these.
Between them stand operations that compute the same in either layout. Which of them run in which is a minimum cut: an
operation that is no matter of layout takes a side, the others are fixed to theirs, and a tensor that is used on the
side where it was not made costs a transpose of its size.

All transposes from one home to the other (`layout_homes.py`) go, and new ones come in where the cut runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

import onnx_ir as ir

from .ir_utils import bodies, insert, permuted, rank_of, static
from .layout_homes import FIRST, LAST, OTHER, Homes, Side, perm_to
from .min_cut import SINK, SOURCE, Cut
from .pass_types import PassOptions, PassResult
from .permute_op import penalty, turn

_FREE_SIZE = 64  # taken for a size that is not known
_FOREVER = math.inf
_IMAGES = (4, 5)  # ranks


class _Want(NamedTuple):
    """`user`, a node or one inside of it, takes `value` as input `i`, in the layout `home` as it was written.

    `turns`: it takes it in the layout that it runs in. A Reshape to an image has the layout of the image alone.
    """

    user: ir.Node
    i: int
    value: ir.Value
    home: Side
    turns: bool


def settle_layout(model: ir.Model, options: PassOptions) -> PassResult:
    """Move the transposes of the main graph to where they cost least.

    With `channels_first_io` the inputs and outputs of rank 4 and 5 get channels second too; the result names them.
    Where no convolution tells the layout it is channels last, or first with `channels_first_model`.
    """
    graph = model.graph
    homes = Homes(graph, FIRST if options.channels_first_model else LAST)
    layout = _Layout(graph, homes, options.channels_first_io)
    ends = [v for v in (*graph.inputs, *graph.outputs) if v in homes.home]
    turned = tuple(str(v.name) for v in ends if layout.io_side(v) != homes.home[v])
    layout.settle()
    return PassResult(channels_first=turned)


class _Layout:
    def __init__(self, graph: ir.Graph, homes: Homes, channels_first_io: bool) -> None:
        self._graph, self._homes, self._first_io = graph, homes, channels_first_io
        self._nodes = list(graph)
        self._declared = {output: output.shape for output in graph.outputs}
        self._physical: dict[ir.Value, Side] = {}  # the side on which each value is made
        self._current: dict[ir.Value, ir.Value] = {}  # what stands for it now
        self._made: dict[tuple[ir.Value, Side], ir.Value] = {}

    def io_side(self, value: ir.Value) -> Side:
        """The layout of an input or an output of the graph."""
        return FIRST if self._first_io and rank_of(value) in _IMAGES else self._homes.home[value]

    def settle(self) -> None:
        homes, wants = self._homes, self._wants()
        side = self._cut(wants)
        turned = {node for node in homes.flexible if side(node) != homes.home[homes.carried(node)[0]]}
        for value, home in homes.home.items():
            producer = value.producer()
            flips = producer in turned and homes.carries(producer, value)
            self._physical[value] = OTHER[home] if flips else self._side(value)
        for node in self._nodes:
            for want in wants[node]:
                wanted = side(node) if want.turns else want.home
                want.user.replace_input_with(want.i, self._provide(want.value, wanted, node))
            if node in turned:
                self._turn(node, side(node))
        self._outputs()
        self._inputs()

    # The cut

    def _wants(self) -> dict[ir.Node, list[_Want]]:
        """What each node of the main graph takes, and what stands inside of it."""
        homes, wants = self._homes, defaultdict[ir.Node, list[_Want]](list)
        for node in self._nodes:
            inside = [user for graph in bodies(node) for user in graph.all_nodes()]
            for user in (node, *inside):
                for i, x in enumerate(user.inputs):
                    if x is not None and x in homes.home and not homes.is_change(node):
                        turns = user is node and node in homes.flexible and homes.images.get(node, x) is x
                        wants[node].append(_Want(user, i, homes.root(x), homes.home[x], turns))
        return wants

    def _users(self, wants: dict[ir.Node, list[_Want]]) -> dict[ir.Value, list[ir.Node | Side]]:
        """For each value the flexible nodes that take it, and the sides on which others want it."""
        homes, users = self._homes, defaultdict[ir.Value, list[ir.Node | Side]](list)
        for node in self._nodes:
            for want in wants[node]:
                users[want.value].append(node if want.turns else want.home)
        for output in self._graph.outputs:
            if output in homes.home:
                users[homes.root(output)].append(self.io_side(output))
        return users

    def _cut(self, wants: dict[ir.Node, list[_Want]]) -> Callable[[ir.Node], Side]:
        """The side of each flexible node with which the transposes are smallest."""
        cut, homes = Cut(), self._homes
        cut.add(SOURCE, LAST, _FOREVER)
        cut.add(FIRST, SINK, _FOREVER)
        for node in homes.flexible:
            for other in homes.features.together(node) if node in homes.images else ():
                cut.add(node, other, _FOREVER)
            if cost := penalty(node) * _size(node.inputs[0]):
                cut.add(SOURCE if cost > 0 else node, node if cost > 0 else SINK, abs(cost))
        for value, ends in self._users(wants).items():
            producer = value.producer()
            start = producer if homes.carries(producer, value) else self._side(value)
            size = float(_size(value))
            cut.add(start, ("first", value), size)
            cut.add(("last", value), start, size)
            for end in ends:
                cut.add(("first", value), end, _FOREVER)
                cut.add(end, ("last", value), _FOREVER)
        last = cut.labels()
        return lambda node: LAST if node in last else FIRST

    def _side(self, value: ir.Value) -> Side:
        return self.io_side(value) if value.is_graph_input() else self._homes.home[value]

    # Changes

    def _provide(self, value: ir.Value, want: Side, before: ir.Node | None) -> ir.Value:
        """`value` in the layout `want`, by a transpose in front of `before` or at the end, if it needs one."""
        have = self._current.get(value, value)
        if self._physical.get(value, want) == want:
            return have
        if (value, want) not in self._made:
            self._made[value, want] = self._transpose(have, want, before)
        return self._made[value, want]

    def _transpose(self, value: ir.Value, to: Side, before: ir.Node | None) -> ir.Value:
        perm = perm_to(to, rank_of(value))
        shape = permuted(value.shape, perm)
        if before is not None:
            return insert(before, "Transpose", [value], "layout/Transpose", shape, perm=list(perm))
        node = ir.node("Transpose", [value], {"perm": list(perm)}, name="layout/Transpose")
        node.outputs[0].shape, node.outputs[0].type = shape, value.type
        self._graph.append(node)
        return node.outputs[0]

    def _turn(self, node: ir.Node, side: Side) -> None:
        rank = self._homes.flexible[node]
        if node in self._homes.images:
            self._homes.features.turn(node, perm_to(side, rank))
            return
        new = turn(node, rank, perm_to(side, rank))
        for old, value in zip(node.outputs, new or (), strict=False):
            self._current[old] = value

    def _outputs(self) -> None:
        for i, output in enumerate(list(self._graph.outputs)):
            if output not in self._homes.home:
                continue
            side = self.io_side(output)
            new = self._provide(self._homes.root(output), side, None)
            if new is output:
                continue
            if new.is_graph_input() or new.is_graph_output():
                new = self._identity(new)
            name, shape = output.name, self._declared[output]
            if side != self._homes.home[output] and shape is not None:
                shape = permuted(shape, perm_to(side, len(shape)))
            output.name = f"{name}/before"
            new.name, new.shape = name, shape
            self._graph.outputs[i] = new

    def _identity(self, value: ir.Value) -> ir.Value:
        node = ir.node("Identity", [value], name="output/Identity")
        node.outputs[0].shape, node.outputs[0].type = value.shape, value.type
        self._graph.append(node)
        return node.outputs[0]

    def _inputs(self) -> None:
        home = self._homes.home
        for value in self._graph.inputs:
            if value in home and value.shape is not None and self.io_side(value) != home[value]:
                value.shape = permuted(value.shape, perm_to(FIRST, len(value.shape)))


def _size(value: ir.Value | None) -> int:
    """The elements of a sample, as far as they are known."""
    return math.prod(_FREE_SIZE if n is None else max(n, 1) for n in (static(value) or ())[1:])
