"""One-dimensional convolutions as images of one row, which ONNX Runtime runs in the blocked layout of its kernels.

A value of rank 3 gets its row where images have it: second to last before the positions where channels are second,
second where they are last, [N, C, L] -> [N, C, 1, L] and [N, L, C] -> [N, 1, L, C]. Which operations run on such images
is a minimum cut: a convolution that gains has to, an operation that cannot be rewritten must not, the others go where
the fewest Unsqueezes and Squeezes are needed. A Reshape takes and gives either at no cost.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from .ir_utils import attribute, constant, made_by, new_constant
from .min_cut import SINK, SOURCE, Cut
from .permute_op import reduced_axes, turnable

_SPATIAL = ("AveragePool", "Conv", "ConvTranspose", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool")
_NORMS = ("BatchNormalization", "InstanceNormalization")
_ALONG = {"dilations": 1, "kernel_shape": 1, "output_padding": 0, "strides": 1}
_BLOCK = 16  # channels; a convolution to a number of others gains nothing
_RANK = 3
_NEVER = float("inf")


def series_as_images(graph: ir.Graph) -> None:
    """Lift chains of one-dimensional convolutions to two dimensions, between one Unsqueeze and one Squeeze."""
    gaining = [node for node in graph if _gains(node)]
    if gaining:
        _Rows(graph, gaining).lift()


def _gains(node: ir.Node) -> bool:
    kernel = constant(node.inputs[1]) if node.op_type == "Conv" and _rank(node.inputs[0]) == _RANK else None
    return (
        kernel is not None
        and _liftable(node)
        and (kernel.shape[0] % _BLOCK == 0 or attribute(node, "group", 1) == kernel.shape[0])
    )


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _liftable(node: ir.Node) -> bool:
    """Whether `_Rows` knows how to rewrite `node`."""
    kind, x = node.op_type, node.inputs[0] if node.inputs else None
    if any(y.shape is None for y in node.outputs):
        return False
    if kind == "Transpose":
        return _rank(x) == _RANK and list(attribute(node, "perm", ())) == [0, 2, 1]
    if kind in _SPATIAL:
        fixed = len(node.inputs) < 2 or constant(node.inputs[1]) is not None
        return _rank(x) == _RANK and fixed and len(node.outputs) == 1 and "output_shape" not in node.attributes
    if kind in _NORMS:
        return _rank(x) == _RANK
    if kind == "MatMul":
        return _rank(x) == _RANK and constant(node.inputs[1]) is not None and _rank(node.inputs[1]) == 2
    if kind == "LayerNormalization":
        return _rank(x) == _RANK and attribute(node, "axis", -1) in (-1, 2) and len(node.outputs) == 1
    ranks = {_rank(v) for v in node.inputs if v is not None and constant(v) is None}
    if kind.startswith("Reduce"):
        return ranks == {_RANK} and reduced_axes(node) is not None
    return _RANK in ranks and turnable(node, _RANK) and not kind.startswith("Reduce")


class _Rows:
    def __init__(self, graph: ir.Graph, gaining: list[ir.Node]) -> None:
        self._graph, self._gaining = graph, gaining
        self._row: dict[ir.Value, int] = {}  # where the row of a value goes
        self._nodes: set[ir.Node] = set()
        self._kernels: dict[ir.Value, ir.Value] = {}
        self._spread()

    def _spread(self) -> None:
        """Find what is connected with the convolutions, and on which axis each value would have its row."""
        todo, refused = [(node.inputs[0], 2) for node in self._gaining], set()
        while todo:
            value, row = todo.pop()
            if value is None or value in self._row:
                continue
            self._row[value] = row
            for node in (value.producer(), *(use.node for use in value.uses())):
                if node is None or node.graph is not self._graph or node in refused or not _liftable(node):
                    continue
                if (node.op_type in _SPATIAL or node.op_type in _NORMS) and row != 2:
                    refused.add(node)
                    continue
                if node.op_type in ("MatMul", "LayerNormalization") and row != 1:
                    refused.add(node)
                    continue
                self._nodes.add(node)
                other = 3 - row if node.op_type == "Transpose" else row
                todo += [(v, row if v is value else other) for v in self._carried(node)]
        for node in list(self._nodes):
            rows = {self._row[v] for v in self._carried(node)}
            if node in refused or len(rows) != (2 if node.op_type == "Transpose" else 1):
                self._nodes.discard(node)

    @staticmethod
    def _carried(node: ir.Node) -> list[ir.Value]:
        inputs = [v for v in node.inputs if v is not None and constant(v) is None and _rank(v) == _RANK]
        keeps = not node.op_type.startswith("Reduce") or attribute(node, "keepdims", 1) == 1
        return inputs + [y for y in node.outputs if keeps and _rank(y) == _RANK]

    def _side(self, node: ir.Node | None, value: ir.Value, made: bool) -> object:
        """What decides whether `value` is an image where `node` makes or uses it."""
        if node in self._nodes:
            return node
        if node is not None and node.op_type == "Reshape" and node.graph is self._graph:
            target = constant(node.inputs[1])
            if target is not None and (value is node.outputs[0] or value is node.inputs[0]):
                clear = 0 not in target[self._row[value] :] and attribute(node, "allowzero", 0) == 0
                return (node, made) if clear else SOURCE
        return SOURCE

    def _cut(self) -> set:
        cut = Cut()
        for node in self._gaining:
            cut.add(node, SINK, _NEVER)
        for node in self._nodes:
            if node.op_type in ("LayerNormalization", "MatMul"):  # a transformer behind convolutions stays as it is
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
        flat = self._cut()
        is_image = lambda value: self._side(value.producer(), value, True) not in flat  # noqa: E731
        images = {value for value in self._row if is_image(value)}
        wanted: dict[ir.Value, list[tuple[ir.Node, int]]] = defaultdict(list)
        for value in self._row:
            for use in value.uses():
                if (self._side(use.node, value, False) not in flat) != (value in images):
                    wanted[value].append((use.node, use.idx))
        for node in self._nodes:
            if node not in flat:
                self._rewrite(node)
        for value in images:
            reshape = made_by(value, "Reshape")
            if reshape is not None:
                target = np.insert(constant(reshape.inputs[1]), self._row[value], 1)  # type: ignore[arg-type]
                reshape.replace_input_with(1, new_constant(self._graph, target, f"{reshape.name}/image"))
        for value, row in self._row.items():
            outgoing = value.is_graph_output() and value in images
            shape = value.shape
            if value in images and shape is not None:
                value.shape = ir.Shape([*shape[:row], 1, *shape[row:]])
            if wanted[value] or outgoing:
                self._convert(value, row, value in images, shape, wanted[value])

    def _convert(
        self, value: ir.Value, row: int, image: bool, shape: ir.Shape | None, uses: list[tuple[ir.Node, int]]
    ) -> None:
        kind = "Squeeze" if image else "Unsqueeze"
        axes = new_constant(self._graph, np.array([row], np.int64), f"series/{kind}/axes")
        node = ir.node(kind, [value, axes], name=f"series/{kind}")
        new = node.outputs[0]
        new.name, new.type = f"{value.name}/{kind}", value.type
        if shape is not None:
            new.shape = shape if image else ir.Shape([*shape[:row], 1, *shape[row:]])
        producer = value.producer()
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

    def _rewrite(self, node: ir.Node) -> None:
        kind, graph, name = node.op_type, self._graph, node.name
        row = self._row[self._carried(node)[0]]
        shifted = lambda axis: (axis % _RANK) + (axis % _RANK >= row)  # noqa: E731
        if kind == "Transpose":
            node.attributes["perm"] = ir.AttrInt64s("perm", [0, 2, 3, 1] if row == 2 else [0, 3, 1, 2])
        elif kind in _SPATIAL:
            for key, one in _ALONG.items():
                if key in node.attributes:
                    node.attributes[key] = ir.AttrInt64s(key, [one, *attribute(node, key)])
            if "pads" in node.attributes:
                before, after = attribute(node, "pads")
                node.attributes["pads"] = ir.AttrInt64s("pads", [0, before, 0, after])
            if len(node.inputs) > 1:
                node.replace_input_with(1, self._kernel(node.inputs[1], f"{name}/kernel"))  # type: ignore[arg-type]
        elif kind.startswith("Reduce"):
            axes = [shifted(axis) for axis in reduced_axes(node) or ()]
            self._set_axes(node, sorted([*axes, row]))
        elif kind in ("Concat", "Split", "Softmax", "LogSoftmax", "Hardmax"):
            default = 0 if kind == "Split" else -1
            node.attributes["axis"] = ir.AttrInt64("axis", shifted(attribute(node, "axis", default)))
        elif kind in ("Pad", "Tile", "Expand"):
            widths = constant(node.inputs[1]).reshape(-1, _RANK)  # type: ignore[union-attr]
            widths = np.insert(widths, row, 0 if kind == "Pad" else 1, axis=1).reshape(-1)
            node.replace_input_with(1, new_constant(graph, widths, f"{name}/widths"))
        elif kind == "Slice":
            given = constant(node.inputs[3]) if len(node.inputs) > 3 else None
            old = np.arange(constant(node.inputs[1]).size) if given is None else given.reshape(-1)  # type: ignore[union-attr]
            node.resize_inputs(max(4, len(node.inputs)))
            along = new_constant(graph, np.array([shifted(int(i)) for i in old], np.int64), f"{name}/axes")
            node.replace_input_with(3, along)
        elif kind not in (*_NORMS, "MatMul", "LayerNormalization"):
            for i, value in enumerate(node.inputs):
                array = constant(value)
                place = row - _RANK + array.ndim if array is not None else 0
                if place > 0:
                    node.replace_input_with(i, new_constant(graph, np.expand_dims(array, place), f"{name}/image"))  # type: ignore[arg-type]

    def _kernel(self, value: ir.Value, name: str) -> ir.Value:
        if value not in self._kernels:
            self._kernels[value] = new_constant(self._graph, constant(value)[:, :, None], name)  # type: ignore[index]
        return self._kernels[value]

    def _set_axes(self, node: ir.Node, axes: list[int]) -> None:
        if "axes" in node.attributes:
            node.attributes["axes"] = ir.AttrInt64s("axes", axes)
        else:
            node.replace_input_with(1, new_constant(self._graph, np.array(axes, np.int64), f"{node.name}/axes"))
