"""A whole TFLite file in integers, norms too: activations in 16 bits or in 8, norms in 16, weights in 8.

The norms have the form of `lowerings/integer.py`. Ranges of 16 bits are those of the calibration data times a headroom:
inputs of 1.6 times the contrast do not clip. Ranges of 8 bits are clipped where that loses least.
"""

from __future__ import annotations

from typing import Any

from .....model.user_inputs import Arrays
from .....options import TFLiteOptions
from .....progress import Progress, silent
from ...flatbuffer_graph import Graph
from ..calibration_look import EXAMPLES_LOOKED_INTO, look
from ..observer import watch
from ..ranges import Histograms
from .eight_bits import of_eight_bits
from .equal_channels import equalize_all
from .fold_means import fold_means
from .grids import assign, grid
from .headroom import with_headroom
from .narrow_ends import narrow_ends
from .operators import RULES
from .rewrite import rewrite
from .two_roots import add_second_roots


class NoIntegerFormError(Exception):
    """Operators without a form in integers: a line for each, its kind and the name of its output."""


def quantize_throughout(
    flatbuffer: bytes, options: TFLiteOptions, batches: list[Arrays], say: Progress = silent
) -> tuple[bytes, dict[str, list[str]]]:
    """A float file in integers of "int16x8" or "int8", inputs and outputs too; and what has 8 bits in a file of 16.

    With `io_dtype` "int8" the inputs and outputs of a file of 16 bits have 8. What no chip has in 16 bits is computed
    in 8 between conversions.

    Raises:
        NoIntegerFormError: If an operator has no form in integers.
    """
    graph, mode = Graph(flatbuffer), str(options.quantize)
    _check_forms(graph)
    fold_means(graph)
    equalize_all(graph, batches[:EXAMPLES_LOOKED_INTO], narrow=mode == "int8")
    flatbuffer = graph.bytes()
    graph = Graph(flatbuffer)
    extremes = look(graph, flatbuffer, batches, say, within_norms=True)
    found = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in extremes.low}
    ranges, narrow = with_headroom(graph, found), {}
    eight = of_eight_bits(graph, found, mode)
    if eight or options.io_dtype == "int8":
        histograms = Histograms(extremes)
        watch(flatbuffer, batches[:EXAMPLES_LOOKED_INTO], extremes.low, histograms.see)
        narrow = {tensor: grid(*histograms.best(tensor), 8) for tensor in found if tensor not in eight}
        ranges |= {tensor: histograms.best(tensor) for tensor in eight}
    if options.target == "npu":
        add_second_roots(graph, ranges)
    grids = assign(graph, ranges, lambda tensor: 8 if tensor in eight else 16, narrow)
    rewrite(graph, grids, narrow)
    if mode == "int8" or options.io_dtype == "int8":
        narrow_ends(graph, narrow)
    names = [graph.name(tensor) for tensor in eight] if mode != "int8" else []
    return graph.bytes(), {"in 8 bits": names}


def _check_forms(graph: Graph) -> None:
    floats = [op for op in graph.ops if any(graph.is_float(int(i)) for i in (*op.inputs, *op.outputs))]
    without = [op for op in floats if not _has_form(graph, op)]
    if without:
        raise NoIntegerFormError("\n".join(f"{graph.kind(op)} {graph.name(int(op.outputs[0]))}" for op in without))


def _has_form(graph: Graph, op: Any) -> bool:
    rule = RULES.get(graph.kind(op))
    if rule is None or len(op.outputs) > 1:
        return False
    return rule.weights is None or graph.constant(int(op.inputs[1])) is not None
