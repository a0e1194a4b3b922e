"""One layout for a whole graph: channels first, where convolutions are, with as few transposes as there can be.

Keras keeps channels last, ONNX convolutions want them first, and the converter puts transposes around each of these.
Between them stand operations that compute the same in either layout. Which of them run in which is a minimum cut: an
operation that is no matter of layout takes a side, the others are fixed to theirs, and a tensor that is used on the
side where it was not made costs a transpose of its size.

A value's home is the layout that its axes stand in as the graph was written; a transpose from one home to the other
changes no value, only its storage, so all of them go and new ones come in where the cut runs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import onnx_ir as ir

from .group_norm_op import GROUPS
from .ir_utils import attribute, insert, static
from .min_cut import SINK, SOURCE, Cut
from .permute_op import ONE_WAY, leaves, penalty, turn, turnable
from .permute_weights import Features

FIRST, LAST = "channels first", "channels last"
_OTHER = {FIRST: LAST, LAST: FIRST}
_NAMES = """
    AveragePool BatchNormalization Conv ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool GroupNormalization
    InstanceNormalization LRN MaxPool Resize SpaceToDepth
"""
_CONVOLUTIONAL = frozenset((*_NAMES.split(), GROUPS))
_FREE_SIZE = 64  # taken for a size that is not known
_FOREVER = math.inf


def to_first(rank: int) -> tuple[int, ...]:
    return (0, rank - 1, *range(1, rank - 1))


def to_last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def _perm(rank: int, to: str) -> tuple[int, ...]:
    return to_first(rank) if to == FIRST else to_last(rank)


def settle_layout(model: ir.Model, channels_first_io: bool = False, channels_first_model: bool = False) -> list[str]:
    """Move the transposes of the main graph to where they cost least.

    With `channels_first_io` the inputs and outputs of rank 4 and 5 get channels second too; returns their names. Where
    no convolution tells the layout it is channels last, or first with `channels_first_model`.
    """
    layout = _Layout(model.graph, channels_first_io, FIRST if channels_first_model else LAST)
    ends = (*model.graph.inputs, *model.graph.outputs)
    turned = [str(v.name) for v in ends if v in layout.home and layout.io_side(v) != layout.home[v]]
    layout.settle()
    return turned


class _Layout:
    def __init__(self, graph: ir.Graph, channels_first_io: bool, untold: str) -> None:
        self.graph, self.untold = graph, untold
        self.io = FIRST if channels_first_io else LAST
        self.nodes = list(graph)
        self.declared = {output: output.shape for output in graph.outputs}
        self.flexible: dict[ir.Node, int] = {}
        self.home: dict[ir.Value, str] = {}
        self.features = Features(graph)
        self.images = self.features.images
        self._find_homes()
        for node in list(self.flexible):
            sides = {self.home[v] for v in self._carried(node)}
            if len(sides) > 1 or (node.op_type in ONE_WAY and sides == {FIRST}):
                del self.flexible[node]
        for node in self.images:
            if len({self.home[self.images[other]] for other in self.features.together(node)}) > 1:
                self.flexible.pop(node, None)
        self.root: dict[ir.Value, ir.Value] = {}
        for node in self.nodes:
            for output in node.outputs:
                same = output in self.home and self._is_change(node)
                self.root[output] = self._of(node.inputs[0]) if same else output  # type: ignore[arg-type]

    def _of(self, value: ir.Value) -> ir.Value:
        return self.root.get(value, value)

    # Homes

    def _find_homes(self) -> None:
        self.flexible |= {node: _rank(image) for node, image in self.images.items()}
        for node in self.nodes:
            if node in self.flexible:
                continue
            rank = _rank(node.inputs[0]) if node.inputs else 0
            first = next((x for x in node.inputs if x is not None and _rank(x) >= 3 and x.const_value is None), None)
            rank = _rank(first) if first is not None else rank
            can = rank >= 3 and (turnable(node, rank) or leaves(node, rank, to_first(rank)))
            if can and node.op_type != "Transpose":
                self.flexible[node] = rank
        seeds = []
        for node in self.nodes:
            if node.op_type in _CONVOLUTIONAL:
                seeds += [(v, FIRST) for v in (node.inputs[0], *node.outputs) if v is not None and _rank(v) >= 3]
        self._spread(seeds)
        self._spread([(v, self.untold) for v in (*self.graph.inputs, *self.graph.outputs) if _rank(v) >= 3])
        for node in self.nodes:
            self._spread([(v, self.untold) for v in (*node.inputs, *node.outputs) if v is not None and _rank(v) >= 3])

    def _spread(self, seeds: list[tuple[ir.Value, str]]) -> None:
        while seeds:
            value, side = seeds.pop()
            if value in self.home or value.const_value is not None or value.shape is None:
                continue
            self.home[value] = side
            for node in (value.producer(), *(use.node for use in value.uses())):
                if node is None or node.graph is not self.graph:
                    continue
                if node.op_type == "Transpose" and _is_swap(node):
                    seeds += [(v, _OTHER[side]) for v in (node.inputs[0], node.outputs[0]) if v is not value]  # type: ignore[misc]
                elif node in self.flexible:
                    seeds += [(v, side) for v in self._carried(node)]

    def _carried(self, node: ir.Node) -> list[ir.Value]:
        """The values of a flexible node that have its layout."""
        if node in self.images:
            return [self.images[node]]
        rank = self.flexible[node]
        inputs = [x for x in node.inputs if x is not None and x.const_value is None and _rank(x) == rank]
        return inputs + [y for y in node.outputs if _rank(y) == rank and not _shrinks(node)]

    def _is_change(self, node: ir.Node) -> bool:
        """Whether `node` is a transpose that leads from the home of its input to that of its output."""
        if node.op_type != "Transpose" or node.inputs[0] not in self.home or node.outputs[0] not in self.home:
            return False
        side = self.home[node.outputs[0]]
        perm = tuple(attribute(node, "perm", ()))
        return self.home[node.inputs[0]] != side and perm == _perm(len(perm), side)  # type: ignore[index]

    # The cut

    def settle(self) -> None:
        wants = self._wants()
        side = self._cut(wants)
        turned = {node for node in self.flexible if side(node) != self.home[self._carried(node)[0]]}
        physical = self._physical(turned)
        made: dict[tuple[ir.Value, str], ir.Value] = {}
        current = {value: value for value in physical}

        def provide(value: ir.Value, want: str, before: ir.Node | None) -> ir.Value:
            have = current.get(value, value)
            if physical.get(value, want) == want:
                return have
            if (value, want) not in made:
                made[value, want] = self._transpose(have, want, before)
            return made[value, want]

        for node in self.nodes:
            for user, i, value, home in wants[node]:
                want = side(node) if node in self.flexible and user is node else home
                user.replace_input_with(i, provide(value, want, node))
            if node in turned:
                rank = self.flexible[node]
                perm = _perm(rank, side(node))
                if node in self.images:
                    self.features.turn(node, perm)
                    continue
                new = turn(node, rank, perm)
                for old, value in zip(node.outputs, new or (), strict=False):
                    current[old] = value
        self._outputs(provide)
        self._inputs()

    def _wants(self) -> dict[ir.Node, list[tuple[ir.Node, int, ir.Value, str]]]:
        """For each node of the main graph: (the node or one inside it, input, value, home it is wanted in)."""
        wants: dict[ir.Node, list[tuple[ir.Node, int, ir.Value, str]]] = defaultdict(list)
        for node in self.nodes:
            inside = [user for graph in _subgraphs(node) for user in graph.all_nodes()]
            for user in (node, *inside):
                for i, x in enumerate(user.inputs):
                    if x is not None and x in self.home and not self._is_change(node):
                        wants[node].append((user, i, self._of(x), self.home[x]))
        return wants

    def _cut(self, wants: dict) -> Callable[[ir.Node], str]:
        cut, users = Cut(), defaultdict(list)
        for node in self.nodes:
            for user, _, value, home in wants[node]:
                users[value].append(node if node in self.flexible and user is node else home)
        for output in self.graph.outputs:
            if output in self.home:
                users[self._of(output)].append(self.io_side(output))
        cut.add(SOURCE, LAST, _FOREVER)
        cut.add(FIRST, SINK, _FOREVER)
        for node, rank in self.flexible.items():
            for other in self.features.together(node) if node in self.images else ():
                cut.add(node, other, _FOREVER)
            if cost := penalty(node) * _size(node.inputs[0], rank):
                cut.add(SOURCE if cost > 0 else node, node if cost > 0 else SINK, abs(cost))
        for value, ends in users.items():
            producer = value.producer()
            start = producer if producer in self.flexible and value in self._carried(producer) else self._side(value)
            size = float(_size(value, 0))
            cut.add(start, ("first", value), size)
            cut.add(("last", value), start, size)
            for end in ends:
                cut.add(("first", value), end, _FOREVER)
                cut.add(end, ("last", value), _FOREVER)
        last = cut.labels()
        return lambda node: LAST if node in last else FIRST

    def _side(self, value: ir.Value) -> str:
        return self.io_side(value) if value.is_graph_input() else self.home[value]

    def io_side(self, value: ir.Value) -> str:
        return FIRST if self.io == FIRST and _rank(value) in (4, 5) else self.home[value]

    def _physical(self, turned: set[ir.Node]) -> dict[ir.Value, str]:
        """The side on which each value is made."""
        sides = {}
        for value, home in self.home.items():
            producer = value.producer()
            flips = producer in turned and value in self._carried(producer)  # type: ignore[arg-type]
            sides[value] = _OTHER[home] if flips else self._side(value)
        return sides

    # Changes

    def _transpose(self, value: ir.Value, to: str, before: ir.Node | None) -> ir.Value:
        perm = _perm(_rank(value), to)
        shape = ir.Shape([value.shape[i] for i in perm]) if value.shape is not None else None
        if before is not None:
            return insert(before, "Transpose", [value], "layout/Transpose", shape, perm=list(perm))
        node = ir.node("Transpose", [value], {"perm": list(perm)}, name="layout/Transpose")
        node.outputs[0].shape, node.outputs[0].type = shape, value.type
        self.graph.append(node)
        return node.outputs[0]

    def _outputs(self, provide: Callable[..., ir.Value]) -> None:
        for i, output in enumerate(list(self.graph.outputs)):
            if output not in self.home:
                continue
            new = provide(self._of(output), self.io_side(output), None)  # type: ignore[operator]
            if new is output:
                continue
            if new.is_graph_input() or new.is_graph_output():
                node = ir.node("Identity", [new], name="output/Identity")
                node.outputs[0].shape, node.outputs[0].type = new.shape, new.type
                self.graph.append(node)
                new = node.outputs[0]
            name, shape = output.name, self.declared[output]
            if self.io_side(output) != self.home[output] and shape is not None:
                shape = ir.Shape([shape[i] for i in _perm(len(shape), self.io_side(output))])
            output.name = f"{name}/before"
            new.name, new.shape = name, shape
            self.graph.outputs[i] = new

    def _inputs(self) -> None:
        for value in self.graph.inputs:
            if value in self.home and value.shape is not None and self.io_side(value) != self.home[value]:
                value.shape = ir.Shape([value.shape[i] for i in _perm(len(value.shape), FIRST)])


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _is_swap(node: ir.Node) -> bool:
    perm = tuple(attribute(node, "perm", ()))
    return len(perm) >= 3 and perm in (to_first(len(perm)), to_last(len(perm)))


def _shrinks(node: ir.Node) -> bool:
    return node.op_type == "Squeeze" or (node.op_type.startswith("Reduce") and attribute(node, "keepdims", 1) == 0)


def _size(value: ir.Value | None, rank: int) -> int:
    shape = static(value) if value is not None else None
    return math.prod(_FREE_SIZE if n is None else max(n, 1) for n in (shape or ())[1:])


def _subgraphs(node: ir.Node) -> list[ir.Graph]:
    found = []
    for attr in node.attributes.values():
        if attr.type == ir.AttributeType.GRAPH:
            found.append(attr.value)
        elif attr.type == ir.AttributeType.GRAPHS:
            found.extend(attr.value)
    return found  # type: ignore[return-value]
