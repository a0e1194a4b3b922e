"""Calibrated quantization of a float TFLite file: what stays in float, which ranges, which roundings.

The statistics of a norm differ by orders of magnitude between groups, and one 8-bit scale for all would make the small
ones zero. So norms stay in float, and so do the additions and poolings that read their output, whose result the next
layer quantizes anyway. For the rest:

    `masked_scores`  what masks the scores of a softmax, and the softmax, stay in float
    `equalizing`     channels of a convolution that a norm follows share its output's 8 bits evenly
    `rounding`       kernels are rounded for the output they give
    `ranges`         activations are clipped where that loses least
    `range_choice`   or not at all, where a network without norms loses less so
    `loops`          the weights of recurrent layers have 8 bits, what they compute stays in float
    `int16x8`        16-bit activations around norms

A model without norms left is quantized throughout, by the converter's own quantizer. `benchmarks/quantized_norms.py`
measures what each of these is worth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tensorflow.compiler.mlir.lite import types_pb2
from tensorflow.lite.python import convert
from tensorflow.lite.python.optimize.calibrator import Calibrator

from ....model.layer_names import NORM_SCOPE
from ....model.user_inputs import Arrays
from ....progress import Progress, counted, silent
from ..flatbuffer_graph import Graph
from . import equalizing, sensitivity
from . import int16x8 as sixteen
from .calibration_look import EXAMPLES_LOOKED_INTO, in_norm, look
from .loops import with_eight_bit_weights
from .masked_scores import SOFTMAX, Masks, around
from .observer import watch
from .own_kernels import OwnKernels
from .range_choice import Ranges, chosen
from .ranges import Extremes, Histograms

_ENDLESS = 1e37  # a constant beyond it stands for an infinity
# Operations without weights that cost a float kernel little. Resizing, which makes more of what is quantized behind it,
# is not among them.
_LIGHT = ("ADD", "SUB", "MUL", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "RELU", "RELU6")


def quantize(
    flatbuffer: bytes, mode: str, batches: list[Arrays], io_dtype: str | None = None, say: Progress = silent
) -> tuple[bytes, dict[str, list[str]]]:
    """Quantize a float file to "int8" or "int16x8"; return it, and which {"norms", "layers"} stay in float.

    Inputs and outputs are float, or, in an int8 file, of `io_dtype` "int8".
    """
    graph = Graph(flatbuffer)
    norms = {int(i) for op in graph.ops for i in op.outputs if in_norm(graph, i)}
    pairs = equalizing.pairs(graph) if mode == "int8" else []
    masks = Masks(graph)
    kernels = OwnKernels(graph, sensitivity.LAYERS) if norms and mode == "int8" else None
    extremes = look(graph, flatbuffer, batches, say, [pair.x for pair in pairs], masks=masks)
    masked = masks.tensors(extremes)
    if mode == "int16x8":
        # With a loop the converter's quantizer crashes; what is always zero gets steps so tiny that biases behind it
        # are clipped; ids that rows of a table are gathered by have no range.
        dead = any(extremes.largest(tensor) == 0 for tensor in extremes.low)
        gathers = any(graph.kind(op) == "GATHER" for op in graph.ops)
        if not norms and not dead and not masked and not gathers and len(graph.model.subgraphs) == 1:
            return _throughout_in_sixteen_bits(graph, extremes), {}
        sixteen.quantize(graph, {tensor: extremes.largest(tensor) for tensor in extremes.low})
        return with_eight_bit_weights(graph.bytes()), _named(graph, norms, [], around(graph, masked))
    divisors = _divisors(graph)
    extremes.forget((masked | divisors) - {int(i) for i in graph.subgraph.inputs})
    histograms = Histograms(extremes)
    looked = counted(batches[:EXAMPLES_LOOKED_INTO], say, "calibration examples counted", len(batches[0][0]))
    watch(flatbuffer, looked, extremes.low, histograms.see)
    ranges = {tensor: histograms.best(tensor) for tensor in extremes.low}
    scaled = {}
    for pair in pairs:
        low, high = extremes.channels[pair.x]
        scaled[id(pair.convolution)] = equalizing.scales(high - low), (low + high) / 2.0
        equalizing.equalize(graph, pair, *scaled[id(pair.convolution)])
        ranges[pair.x] = (-1.0, 1.0)
    summed = _sums_of(graph, norms)
    sums = [op for op in graph.ops if int(op.outputs[0]) in summed]
    layers = []
    if kernels is not None:
        layers = [graph.ops[i] for i in sensitivity.most_sensitive(graph.bytes(), ranges, batches, say)]
        for op in layers:
            kernels.restore(op, scaled.get(id(op)))
    names = [graph.name(int(i)) for op in graph.ops for i in op.outputs if in_norm(graph, i)]
    floats = (
        *sums,
        *layers,
        *around(graph, masked),
        *_dividing(graph, divisors),
        *_of_two(graph),
        *_of_infinities(graph),
    )
    names += [graph.name(int(op.outputs[0])) for op in floats]

    def made(ranges: Ranges, io_dtype: str | None = None) -> bytes:
        _write_ranges(graph, ranges)
        io = {f"{way}put_data_type": getattr(tf, io_dtype or "float32") for way in ("in", "out")}
        eight = {"inference_type": types_pb2.QUANTIZED_INT8, "denylisted_nodes": names}
        return bytes(convert.mlir_quantize(graph.bytes(), **eight, **io))

    if not norms:
        say("choosing ranges")
        ranges = chosen(ranges, extremes, made, flatbuffer, batches)
    return with_eight_bit_weights(made(ranges, io_dtype)), _named(graph, norms, layers, around(graph, masked))


def _named(graph: Graph, norms: set[int], layers: list[Any], masking: list[Any]) -> dict[str, list[str]]:
    """The layers that stay in float, by the names of their scopes."""
    scopes = {graph.name(tensor).rpartition(f"/{NORM_SCOPE}/")[0].rpartition(";")[2] for tensor in norms}
    return {
        "norms": sorted({scope.rpartition("/")[2] for scope in scopes}),
        "layers": _scopes(graph, layers),
        "masked": sorted(set(_scopes(graph, [op for op in masking if graph.kind(op) in SOFTMAX]))),
    }


def _scopes(graph: Graph, ops: list[Any]) -> list[str]:
    names = [graph.name(int(op.outputs[0])).split(";")[0] for op in ops]
    return [name.rpartition("/")[0].rpartition("/")[2] or name for name in names]


def _divisors(graph: Graph) -> set[int]:
    """What is computed and divided by: rounded to 8 bits it may be zero, and LiteRT then stops."""
    found = {int(op.inputs[1]) for op in graph.ops if graph.kind(op) == "DIV"}
    return {tensor for tensor in found if graph.constant(tensor) is None}


def _dividing(graph: Graph, divisors: set[int]) -> list[Any]:
    """The divisions, and what makes their divisors."""
    divide = [op for op in graph.ops if graph.kind(op) == "DIV" and int(op.inputs[1]) in divisors]
    return [*divide, *(op for op in graph.ops if divisors & {int(i) for i in op.outputs})]


def _of_two(graph: Graph) -> list[Any]:
    """Convolutions with kernels that are computed, which in 8 bits have no zero at the middle of their steps."""
    return [op for op in graph.ops if "CONV" in graph.kind(op) and graph.constant(int(op.inputs[1])) is None]


def _of_infinities(graph: Graph) -> list[Any]:
    """Comparisons with, and choices of, the largest number there is: beside it all others are one step."""

    def largest(tensor: int) -> float:
        constant = graph.constant(tensor)
        floats = constant is not None and constant.size and np.issubdtype(constant.dtype, np.floating)
        return float(np.abs(constant).max()) if floats else 0.0

    return [op for op in graph.ops if any(largest(int(i)) > _ENDLESS for i in op.inputs)]


def _sums_of(graph: Graph, norms: set[int]) -> set[int]:
    """Outputs of the light operations outside of norms that take a norm's output, or such a result again."""
    found: set[int] = set()
    for op in graph.ops:
        inputs, output = {int(i) for i in op.inputs}, int(op.outputs[0])
        if graph.kind(op) in _LIGHT and output not in norms and inputs & (norms | found):
            found.add(output)
    return found


def _write_ranges(graph: Graph, ranges: dict[int, tuple[float, float]]) -> None:
    for tensor, (low, high) in ranges.items():
        parameters = schema.QuantizationParametersT()
        # Any grid holds what is always zero; one with tiny steps has biases that no integer holds.
        parameters.min, parameters.max = [low], [high if high > low else 1.0]
        graph.tensors[tensor].quantization = parameters


def _throughout_in_sixteen_bits(graph: Graph, extremes: Extremes) -> bytes:
    """The converter's own 16-bit form, with the ranges of `int16x8`: its calibrator would clip what goes beyond."""
    _write_ranges(graph, {tensor: sixteen.range_of(extremes.largest(tensor)) for tensor in extremes.low})
    kept = Calibrator(graph.bytes())  # it owns the bytes that the next line's object reads
    calibrator = kept._calibrator  # noqa: SLF001  (the rest wants data)
    calibrator.Prepare()
    float_io, activations, biases = (np.dtype(kind).num for kind in (np.float32, np.int16, np.int64))
    return bytes(calibrator.QuantizeModel(float_io, float_io, True, activations, biases, False, False))
