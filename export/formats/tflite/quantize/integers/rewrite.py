"""Write a float graph in integers, with the grids that `grids.py` chose.

Each weight has 8 bits and a scale for each output channel; a bias counts in steps of (input scale) x (weight scale).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...flatbuffer_graph import Graph, Quantized
from .grids import Grid, grid
from .operators import RULES, Rule

# A bias that is larger than this many steps would leave the accumulators of an NPU.
_LARGEST_BIAS = 2.0**30
_WHOLE = 1e-3


def rewrite(graph: Graph, chosen: Mapping[int, Grid], narrow: Mapping[int, Grid]) -> None:
    """Every operator on the grids of its tensors; QUANTIZE where an operator wants another one.

    `narrow` has a grid of 8 bits for each tensor of 16 that an operator of 8 may read.
    """
    grids, written = dict(chosen), dict[tuple[int, Grid], int]()
    for op in list(graph.ops):
        output = int(op.outputs[0])
        if not graph.is_float(output):
            continue
        rule, wanted = RULES[graph.kind(op)], grids[output]
        inputs = [int(i) for i in op.inputs]
        for place in [i for i in rule.data if i < len(inputs) and graph.is_float(inputs[i])]:
            tensor = inputs[place]
            values = graph.constant(tensor)
            if values is not None:
                on = wanted if rule.same else grid(float(values.min()), float(values.max()), wanted.bits)
                inputs[place] = _constant(graph, values, graph.name(tensor), on)
                grids[inputs[place]] = on
            elif (rule.same and grids[tensor] != wanted) or grids[tensor].bits != wanted.bits:
                on = wanted if rule.same else narrow[tensor] if wanted.bits == 8 else _widened(grids[tensor])
                if (tensor, on) not in written:
                    written[tensor, on] = _requantized(graph, op, tensor, on)
                inputs[place] = written[tensor, on]
                grids[inputs[place]] = on
        if rule.weights is not None:
            _weights(graph, inputs, rule, grids[inputs[rule.data[0]]], graph.name(output))
        op.inputs = np.array(inputs, np.int32)
        _prepare(graph, op, rule, wanted.bits)
    _set_types(graph, grids)
    graph.index()


def _widened(given: Grid) -> Grid:
    """The range of a grid of 8 bits in 16."""
    return grid(*given.range, 16)


def _constant(graph: Graph, values: np.ndarray, name: str, on: Grid) -> int:
    limits = np.iinfo(on.dtype)
    steps = np.clip(np.round(values / on.scale) + on.zero_point, limits.min, limits.max).astype(on.dtype)
    return graph.add_constant(steps, f"{name}/integers", Quantized(on.scale, 0, on.zero_point))


def _requantized(graph: Graph, op: Any, tensor: int, on: Grid) -> int:
    name = f"{graph.name(tensor)}/{on.bits} bits"
    made = graph.add_tensor(graph.shape(tensor), name, np.float32)
    graph.insert("QUANTIZE", op, [tensor], made)
    return made


def _weights(graph: Graph, inputs: list[int], rule: Rule, x: Grid, name: str) -> None:
    axis = rule.weights or 0
    w = graph.constant(inputs[1]).astype(np.float64)
    others = tuple(i for i in range(w.ndim) if i != axis)
    scale = np.abs(w).max(axis=others) / steps_of_largest(w)
    bias = None
    if len(inputs) > rule.bias and inputs[rule.bias] >= 0:
        bias = graph.constant(inputs[rule.bias]).astype(np.float64)
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (_LARGEST_BIAS * x.scale))
    scale[scale == 0] = 1.0
    scale = scale.astype(np.float32).astype(np.float64)
    along = [-1 if i == axis else 1 for i in range(w.ndim)]
    steps = np.clip(np.round(w / scale.reshape(along)), -127, 127).astype(np.int8)
    # The weights of a mean are all alike: one scale for all channels takes 12 bytes less for each.
    told = Quantized(scale, axis) if np.ptp(scale) else Quantized(scale[:1])
    inputs[1] = graph.add_constant(steps, f"{name}/kernel", told)
    if bias is not None:
        unit = scale * x.scale
        dtype = np.int64 if x.bits == 16 else np.int32
        told = Quantized(np.asarray(told.scale) * x.scale)
        inputs[rule.bias] = graph.add_constant(np.round(bias / unit).astype(dtype), f"{name}/bias", told)


def steps_of_largest(w: np.ndarray) -> int:
    """127, or the 64 of which powers of two are whole numbers, if all weights are."""
    for steps in (127, 64):
        whole = w * (steps / np.abs(w).max()) if w.any() else w
        if np.abs(whole - np.round(whole)).max() < _WHOLE:
            return steps
    return 127


def _prepare(graph: Graph, op: Any, rule: Rule, bits: int) -> None:
    version = rule.versions[bits == 16]
    graph.model.operatorCodes[op.opcodeIndex].version = max(version, graph.model.operatorCodes[op.opcodeIndex].version)
    options = op.builtinOptions
    if hasattr(options, "potScaleInt16"):
        options.potScaleInt16 = False


def _set_types(graph: Graph, grids: Mapping[int, Grid]) -> None:
    for tensor, on in grids.items():
        made = graph.add_tensor((), "", on.dtype, Quantized(on.scale, 0, on.zero_point))
        found = graph.tensors.pop(made)  # made for its type and quantization alone
        graph.tensors[tensor].type, graph.tensors[tensor].quantization = found.type, found.quantization
