"""Every rewrite that quantizes, or prepares for it."""

from __future__ import annotations

import numpy as np
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.quantize import depthwise_rounding, equalizing, int16x8, rounding
from keras_norms.export.formats.tflite.quantize.dynamic_range import round_kernels
from keras_norms.export.formats.tflite.quantize.observer import watch
from keras_norms.export.formats.tflite.quantize.ranges import Extremes
from tflite_files import Op, flatbuffer

from .case import RELU, VALID, Case, random

# --- int16x8


def layer(kind="CONV_2D", x="x", y="y", kernel="w", bias="b"):
    return Op(kind, [x, kernel, bias], y, (1, 4, 4, 4), {"padding": VALID})


def eighths(*shape, seed=0):
    """Weights that 8 bits hold: multiples of 1/127, the largest of each channel 1."""
    values = np.round(np.random.default_rng(seed).uniform(-1, 1, shape) * 127) / 127
    values.reshape(shape[0], -1)[:, 0] = 1.0
    return values.astype(np.float32)


WEIGHTS = {"w": eighths(4, 1, 1, 4), "b": random(4, seed=1)}


def two_layers(between=False):
    relu = [Op("RELU", ["c"], "r", (1, 4, 4, 4))] if between else []
    ops = [layer(y="c"), *relu, layer(x="r" if between else "c")]
    return flatbuffer({"x": (1, 4, 4, 4)}, WEIGHTS, ops, ["y"])


def computed_kernel():
    ops = [Op("NEG", ["w"], "v", (4, 1, 1, 4)), layer(kernel="v")]
    return flatbuffer({"x": (1, 4, 4, 4)}, WEIGHTS, ops, ["y"])


def seen(content, inputs):
    """The extremes of every float tensor that is computed."""
    graph, extremes = Graph(content), Extremes()
    tensors = sorted({int(i) for op in graph.ops for i in op.outputs} | {int(i) for i in graph.subgraph.inputs})
    watch(content, [list(inputs.values())], [i for i in tensors if graph.is_float(i)], extremes.see)
    return extremes


def sixteen(content):
    graph, extremes = Graph(content), seen(content, {"x": random(1, 4, 4, 4)})
    int16x8.quantize(graph, {tensor: extremes.largest(tensor) for tensor in extremes.low})
    return graph.bytes()


# --- equalizing


def normed(centred=False, activation=0, other_reader=None, scope="n/keras_norm/"):
    """A convolution and a norm: (x - m) k + b where `centred`, else x k + (b - tanh(m) k), which shows a wrong mean."""
    one, full = (1, 1, 1, 4), (1, 4, 4, 4)
    subtract = [Op("SUB", ["c", "mean"], "centred", full)] if centred else []
    shift = [
        Op("TANH", ["mean"], "tanh", one),
        Op("MUL", ["tanh", "k"], "mk", one),
        Op("SUB", ["beta", "mk"], "t", one),
    ]
    ops = [
        Op("CONV_2D", ["x", "w", "b"], "c", full, {"padding": VALID, "fusedActivationFunction": activation}),
        *([Op("MUL", ["c", "beta"], "sooner", full)] if other_reader == "sooner" else []),
        Op("MEAN", ["c", "axes"], "mean", one, {"keepDims": True}),
        Op("SQUARED_DIFFERENCE", ["c", "mean"], "squares", full),
        Op("MEAN", ["squares", "axes"], "variance", one, {"keepDims": True}),
        Op("ADD", ["variance", "epsilon"], "v", one),
        Op("RSQRT", ["v"], "k", one),
        *subtract,
        Op("MUL", ["centred" if centred else "c", "k"], "scaled", full),
        *([] if centred else shift),
        Op("ADD", ["scaled", "beta" if centred else "t"], "y", full),
        *(
            [
                Op(
                    "MUL" if other_reader == "again" else "NEG",
                    ["c", "k"][: 1 + (other_reader == "again")],
                    other_reader,
                    full,
                )
            ]
            if other_reader not in (None, "sooner")
            else []
        ),
    ]
    rename = {op.output: f"{scope}{op.output}" for op in ops if op.output not in ("c", "y", "z")}
    ops = [Op(o.kind, [rename.get(i, i) for i in o.inputs], rename.get(o.output, o.output), o.shape, o.options)
           for o in ops]  # fmt: skip
    given = {**WEIGHTS, "axes": np.array([1, 2], np.int32), "epsilon": np.float32([[[[1e-3]]]]), "beta": random(*one)}
    return flatbuffer(
        {"x": full}, given, ops, ["y", *([rename.get(other_reader, other_reader)] if other_reader else [])]
    )


def equalized(content):
    graph, rng = Graph(content), np.random.default_rng(0)
    for pair in equalizing.pairs(graph):
        equalizing.equalize(graph, pair, rng.uniform(0.1, 10.0, 4), rng.normal(size=4))
    return graph.bytes()


# --- rounding, dynamic_range


def single_layer(kind="CONV_2D", kernel=(4, 1, 1, 4), int8=False, scales=4, x=(1, 4, 4, 4)):
    w = 0.1 * random(*kernel, seed=5)
    if int8:
        scale = np.abs(w).reshape(len(w), -1).max(axis=1)[:scales] / 127
        scale = scale if scales > 1 else np.abs(w).max()[None] / 127
        w = (np.round(w / (scale.reshape(-1, 1, 1, 1) if scales > 1 else scale)).astype(np.int8), scale)
    ops = [Op(kind, ["x", "w", "b"], "y", (1, 4, 4, 4), {"padding": VALID}, version=5 if int8 else 1)]
    return flatbuffer({"x": x}, {"w": w, "b": random(4, seed=1)}, ops, ["y"])


def correlated(rows=8):
    return (3.0 + random(rows, 4, 4, 1) + 0.1 * random(rows, 4, 4, 4, seed=2)).astype(np.float32)


def rounded(content):
    graph = Graph(content)
    for op in rounding.layers(graph):
        patches = rounding.patches_of_kernel(graph, op, 8)
        watch(content, [[one[None]] for one in correlated()], [int(op.inputs[0])], lambda _, v, p=patches: p.add(v))
        rounding.round_kernel(graph, op, patches)
    return graph.bytes()


def depthwise(computed=False):
    """A convolution of 2 x 2 for each channel."""
    ops = [Op("NEG", ["w"], "v", (1, 2, 2, 4))] if computed else []
    names = ["x", "v" if computed else "w", "b"]
    ops.append(Op("DEPTHWISE_CONV_2D", names, "y", (1, 3, 3, 4), {"padding": VALID, "depthMultiplier": 1}))
    return flatbuffer({"x": (1, 4, 4, 4)}, {"w": random(1, 2, 2, 4, seed=5), "b": random(4, seed=1)}, ops, ["y"])


def rounded_by_channel(content):
    graph = Graph(content)
    for op in depthwise_rounding.depthwise_layers(graph):
        patches = depthwise_rounding.ChannelPatches(graph, op, 8)
        watch(content, [[one[None]] for one in correlated()], [int(op.inputs[0])], lambda _, v, p=patches: p.add(v))
        depthwise_rounding.round_depthwise(graph, op, patches)
    return graph.bytes()


def dynamic(floats):
    return lambda quantized: round_kernels(floats, quantized, [[one[None]] for one in correlated()])


QUANTIZE_CASES = {
    ("int16x8", "layers that follow each other"): Case(
        two_layers(), sixteen, "QUANTIZE CONV_2D CONV_2D DEQUANTIZE", 2e-4, changes_constants=True
    ),
    ("int16x8", "an operation in float between them"): Case(
        two_layers(between=True),
        sixteen,
        "QUANTIZE CONV_2D DEQUANTIZE RELU QUANTIZE CONV_2D DEQUANTIZE",
        2e-4,
        changes_constants=True,
    ),
    ("int16x8", "not: a computed kernel"): Case(computed_kernel(), sixteen),
    ("equalizing", "x k + t"): Case(
        normed(),
        equalized,
        "CONV_2D MEAN SQUARED_DIFFERENCE MEAN MUL ADD RSQRT MUL MUL MUL MUL ADD TANH MUL SUB ADD ADD",
        2e-5,
        changes_constants=True,
    ),
    ("equalizing", "(x - m) k + b"): Case(
        normed(centred=True),
        equalized,
        "CONV_2D MEAN SQUARED_DIFFERENCE MEAN MUL ADD RSQRT SUB MUL MUL ADD",
        2e-5,
        changes_constants=True,
    ),
    ("equalizing", "not: something else reads it"): Case(normed(other_reader="z"), equalized),
    ("equalizing", "not: the norm reads it twice for a product"): Case(normed(other_reader="again"), equalized),
    ("equalizing", "not: the norm reads it for a product before its own"): Case(
        normed(other_reader="sooner"), equalized
    ),
    ("equalizing", "not: the norm reads it for a product beside its difference"): Case(
        normed(centred=True, other_reader="again"), equalized
    ),
    ("equalizing", "not: an activation between"): Case(normed(activation=RELU), equalized),
    ("equalizing", "not: no norm of this package"): Case(normed(scope="n/"), equalized),
    ("rounding", "a convolution"): Case(
        single_layer(), rounded, "CONV_2D", 1e-3, changes_constants=True, inputs={"x": correlated(1)}
    ),
    ("rounding", "not: groups"): Case(single_layer(kernel=(4, 1, 1, 2)), rounded),
    ("rounding", "not: a channel by itself"): Case(single_layer("DEPTHWISE_CONV_2D", (1, 1, 1, 4)), rounded),
    ("rounding", "not: a computed kernel"): Case(computed_kernel(), rounded),
    ("depthwise_rounding", "each channel"): Case(
        depthwise(),
        rounded_by_channel,
        "DEPTHWISE_CONV_2D",
        5e-3,
        changes_constants=True,
        inputs={"x": correlated(1)},
    ),
    ("depthwise_rounding", "not: a computed kernel"): Case(depthwise(computed=True), rounded_by_channel),
    ("depthwise_rounding", "not: another convolution"): Case(single_layer(), rounded_by_channel),
    ("dynamic_range", "a scale for each channel"): Case(
        single_layer(int8=True),
        dynamic(single_layer()),
        "CONV_2D",
        0.02,
        changes_constants=True,
        inputs={"x": correlated(1)},
    ),
    ("dynamic_range", "not: one scale for all channels"): Case(
        single_layer(int8=True, scales=1), dynamic(single_layer())
    ),
    ("dynamic_range", "not: kernels in float"): Case(single_layer(), dynamic(single_layer())),
}
