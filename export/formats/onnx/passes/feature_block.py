"""How far a block of features reaches: what each operation around it does to its order, one handler for each kind.

A block is what comes from flattening an image, or what an image is made of, and whatever is computed of it feature by
feature. A handler says where the block goes on through a node: to which values; nowhere, where weights that can be
permuted or sums over all of it are an end; or None, where the order of the features must stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import onnx_ir as ir

from .ir_utils import constant, input_of, integer, integer_list, integers, rank_of, reduced_axes, static
from .permute_op import ELEMENTWISE, REDUCE, UNARY

FLAT, STEPS = 2, 3  # ranks of [batch, features] and [batch, time, features]
Place: TypeAlias = "tuple[ir.Value, int]"  # a block's features start there along the last axis


@dataclass
class Block:
    """`reshapes` lead between images of `sizes` and features; `weights` are (node, constant input, axis, start)."""

    sizes: tuple[int, ...]
    reshapes: dict[ir.Node, None] = field(default_factory=dict)
    weights: dict[tuple[ir.Node, int, int, int], None] = field(default_factory=dict)
    permuted: bool = False


class _Visit(NamedTuple):
    """`node` makes `value`, or takes it as input `i`; the features of `block` start at `start` of `whole`."""

    block: Block
    node: ir.Node
    i: int | None
    value: ir.Value
    start: int
    whole: int
    other: ir.Value  # the first input where `node` makes the value, its first output otherwise

    @property
    def rank(self) -> int:
        return rank_of(self.value)

    def go_on(self, condition: bool) -> list[Place] | None:
        return [(self.other, self.start)] if condition else None

    def end(self, condition: bool) -> list[Place] | None:
        return [] if condition else None

    def weigh(self, which: int, axis: int, least_rank: int) -> bool:
        """Let constant input `which` follow along `axis`; whether there is one."""
        array = constant(self.node.inputs[which]) if len(self.node.inputs) > which else None
        if array is None or array.ndim < least_rank:
            return False
        self.block.weights[self.node, which, axis % array.ndim, self.start] = None
        return True


def image_of(node: ir.Node) -> ir.Value | None:
    """The side of a Reshape whose axes, all but the first, are one axis on the other side."""
    if node.op_type not in ("Flatten", "Reshape") or not node.inputs or node.inputs[0] is None:
        return None
    x, y = node.inputs[0], node.outputs[0]
    if node.op_type == "Flatten":
        return x if integer(node, "axis", 1) == 1 and _is_image(x, y) else None
    target = integers(node.inputs[1])
    if target is None:
        return None
    if _is_image(x, y) and 0 not in target[1:]:
        return x
    return y if _is_image(y, x) and len(target) == rank_of(y) else None


def _is_image(image: ir.Value, features: ir.Value) -> bool:
    sizes, flat = static(image), static(features)
    if sizes is None or flat is None or len(sizes) < 3 or len(flat) < FLAT:
        return False
    known = [n for n in sizes[1:] if n is not None]
    return len(known) == len(sizes) - 1 and math.prod(known) == flat[-1]


def steps(block: Block, node: ir.Node, i: int | None, place: Place) -> list[Place] | None:
    """Where the block goes on through `node`, which makes `place` or takes it as input `i`; None if it cannot."""
    value, start = place
    whole, other = (static(value) or (None,))[-1], node.inputs[0] if i is None else node.outputs[0]
    rank = rank_of(value)
    if whole is None or not FLAT <= rank <= STEPS or other is None:
        return None
    if node.op_type in _IN_TIME:
        handler = _IN_TIME[node.op_type]
    elif rank == FLAT:
        handler = _FLAT.get(node.op_type)
    else:
        handler = None
    return handler(_Visit(block, node, i, value, start, whole, other)) if handler is not None else None


def _last(value: ir.Value | None) -> int | None:
    return (static(value) or (None,))[-1]


def _reshape(visit: _Visit) -> list[Place] | None:
    block, other = visit.block, visit.other
    if image_of(visit.node) is other:
        block.reshapes[visit.node] = None
        return visit.end((static(other) or ())[1:] == block.sizes and visit.whole == math.prod(block.sizes))
    return visit.go_on(1 < rank_of(other) <= STEPS and _last(other) == visit.whole)


def _transpose(visit: _Visit) -> list[Place] | None:
    return visit.go_on(integer_list(visit.node, "perm", [0])[-1] == visit.rank - 1)


def _squeeze(visit: _Visit) -> list[Place] | None:
    return visit.go_on(visit.i != 1 and 1 < visit.whole == _last(visit.other))


def _concat(visit: _Visit) -> list[Place] | None:
    node, rank = visit.node, visit.rank
    if integer(node, "axis", 0) % rank < rank - 1:
        return [(value, visit.start) for value in (*node.inputs, *node.outputs) if value is not None]
    if rank != FLAT:
        return None
    widths = [n for x in node.inputs if (n := _last(x)) is not None]
    if len(widths) < len(node.inputs):
        return None
    begins = list(accumulate(widths, initial=0))
    if visit.i is not None:
        return [(node.outputs[0], begins[visit.i] + visit.start)]
    start, end = visit.start, visit.start + math.prod(visit.block.sizes)
    inside = [n for n in range(len(widths)) if begins[n] <= start and end <= begins[n + 1]]
    return [(input_of(node, n), start - begins[n]) for n in inside] or None


def _product(visit: _Visit) -> list[Place] | None:
    if visit.i == 1 or rank_of(visit.node.inputs[1]) != 2:
        return None
    return visit.end(visit.weigh(1, 1 if visit.i is None else 0, 2))


def _recurrent(visit: _Visit) -> list[Place] | None:
    return visit.end(visit.i == 0 and visit.weigh(1, 2, 3))


def _reduce(visit: _Visit) -> list[Place] | None:
    axes = [axis % visit.rank for axis in reduced_axes(visit.node) or ()]
    return visit.end(visit.i == 0 and axes == [1])


def _gemm(visit: _Visit) -> list[Place] | None:
    node, made = visit.node, visit.i is None
    if visit.i not in (0, None) or integer(node, "transA", 0):
        return None
    follows = visit.weigh(1, int(made) ^ integer(node, "transB", 0), 2)
    if made and len(node.inputs) > 2 and node.inputs[2] is not None:
        shape = static(node.inputs[2])
        one = shape in ((), (1,), (1, 1))
        follows = follows and (one or (bool(shape) and _last(node.inputs[2]) == visit.whole and visit.weigh(2, -1, 1)))
    return visit.end(follows)


def _norm(visit: _Visit) -> list[Place] | None:
    node = visit.node
    last = node.op_type == "BatchNormalization" or integer(node, "axis", -1) % visit.rank == 1
    if not last or visit.i not in (0, None) or len([y for y in node.outputs if y.uses()]) != 1:
        return None
    return visit.go_on(all(visit.weigh(n, 0, 1) for n in range(1, len(node.inputs))))


def _along(visit: _Visit) -> list[Place] | None:
    return visit.go_on(integer(visit.node, "axis", -1) % visit.rank == 1)


def _elementwise(visit: _Visit) -> list[Place] | None:
    node, whole = visit.node, visit.whole
    found: list[Place] = [(node.outputs[0], visit.start)]
    for n, x in enumerate(node.inputs):
        shape = static(x) if x is not None else ()
        if shape is None or len(shape) > FLAT or (shape and shape[-1] not in (1, whole)):
            return None
        if x is None or not shape or (shape[-1] == 1 and whole != 1):
            continue
        if constant(x) is None:
            found.append((x, visit.start))
        else:
            visit.weigh(n, -1, 1)
    y = node.outputs[0]
    return found if _last(y) == whole and rank_of(y) == visit.rank else None


_Handler: TypeAlias = "Callable[[_Visit], list[Place] | None]"
_IN_TIME: dict[str, _Handler] = {  # on [batch, time, features] too
    **dict.fromkeys(("Flatten", "Reshape"), _reshape),
    **dict.fromkeys(("Squeeze", "Unsqueeze"), _squeeze),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    "Concat": _concat,
    "MatMul": _product,
    "Transpose": _transpose,
}
_FLAT: dict[str, _Handler] = {
    **dict.fromkeys(REDUCE, _reduce),
    **dict.fromkeys(("BatchNormalization", "LayerNormalization", "RMSNormalization"), _norm),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _along),
    **dict.fromkeys((*UNARY, *ELEMENTWISE), _elementwise),
    "Gemm": _gemm,
}
