"""Every rewrite of a TFLite file and of a SavedModel on a small graph: one case that fires, one that must not."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras_norms.export.formats import tflite
from keras_norms.export.formats.stages import Limits
from keras_norms.export.formats.tflite.convert.fuse_conv3d_bias import with_biases
from keras_norms.export.formats.tflite.convert.lower_erf import by_tanh
from keras_norms.export.formats.tflite.convert.lower_roll import in_two
from keras_norms.export.formats.tflite.convert.lower_slice import apart
from keras_norms.export.formats.tflite.convert.restore_fp32_scalars import whole_scalars
from keras_norms.export.formats.tflite.convert.rewrite_saved_model import rewrite_function, rewritten
from keras_norms.export.formats.tflite.convert.scale_sums import as_means
from keras_norms.export.formats.tflite.convert.stage_sums import in_stages
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.quantize import equalizing, int16x8, rounding, sensitivity
from keras_norms.export.formats.tflite.quantize.dynamic_range import round_kernels
from keras_norms.export.formats.tflite.quantize.observer import watch
from keras_norms.export.formats.tflite.quantize.ranges import Extremes
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
from tflite_files import Op, constants, flatbuffer, kinds, run

RELU = 1  # ActivationFunctionType.RELU
SAME, VALID = 0, 1  # Padding


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """`rewrite` makes of `file` the operations `becomes`, which give the same numbers; it leaves the file if None."""

    file: bytes
    rewrite: Any
    becomes: str | None = None
    error: float = 1e-6  # as a share of the largest output
    changes_constants: bool = False
    inputs: dict[str, np.ndarray] = field(default_factory=lambda: {"x": random(1, 4, 4, 4)})


# --- fuse_conv3d_bias


def volume(bias=(2,), users=1, activation=0, outputs=("y",)):
    ops = [
        Op("CONV_3D", ["x", "w"], "c", (1, 2, 3, 3, 2), {"padding": VALID, "fusedActivationFunction": activation}),
        Op("ADD", ["c", "b"], "y", (1, 2, 3, 3, 2), {"fusedActivationFunction": RELU}),
        *[Op("NEG", ["c"], "z", (1, 2, 3, 3, 2))][: users - 1],
    ]
    given = {"w": random(2, 2, 2, 3, 2), "b": random(*bias, seed=1)}
    return flatbuffer({"x": (1, 3, 4, 4, 3)}, given, ops, [*outputs, *["z"][: users - 1]])


def volume_case(becomes=None, **options):
    return Case(volume(**options), with_biases, becomes, inputs={"x": random(1, 3, 4, 4, 3)})


# --- restore_fp32_scalars


def added(value, halved, kind="ADD"):
    """x + value, where `halved` by way of a float16 constant."""
    value = np.asarray(value, np.float32)
    unpacked = [Op("DEQUANTIZE", ["c"], "c/whole", value.shape)] if halved else []
    ops = [*unpacked, Op(kind, ["x", "c/whole" if halved else "c"], "y", (1, 4, 4, 4))]
    return flatbuffer({"x": (1, 4, 4, 4)}, {"c": value.astype(np.float16) if halved else value}, ops, ["y"])


def restored(of=None):
    return lambda halves: whole_scalars(halves, lambda: added(*of) if of else pytest.fail("not needed"))


# --- stage_sums: with limits of 6 numbers, for small tensors

SHORT = Limits(6, 6)


def reduction(kind="MEAN", x=(2, 4, 4, 3), axes=(1, 2), keep=False, computed=False):
    kept = [1 if i in axes else n for i, n in enumerate(x) if keep or i not in axes]
    ops = [Op("NEG", ["axes"], "minus", (len(axes),))] if computed else []
    ops += [Op(kind, ["x", "minus" if computed else "axes"], "y", tuple(kept), {"keepDims": keep})]
    numbers = [i - len(x) for i in axes]
    return flatbuffer({"x": x}, {"axes": np.array([-i if computed else i for i in numbers], np.int32)}, ops, ["y"])


def pool(x=(1, 6, 6, 2), size=(4, 4), stride=(2, 1), padding=VALID, y=(1, 2, 3, 2)):
    options = {"padding": padding, "fusedActivationFunction": RELU, "strideH": stride[0], "strideW": stride[1]}
    options |= {"filterHeight": size[0], "filterWidth": size[1]}
    return flatbuffer({"x": x}, {}, [Op("AVERAGE_POOL_2D", ["x"], "y", y, options)], ["y"])


def staged_case(file, becomes=None, x=(2, 4, 4, 3)):
    return Case(file, lambda content: in_stages(content, SHORT), becomes, inputs={"x": random(*x)})


# --- scale_sums


def totals(kind="MUL", factor=(1, 1), swap=False, also=False, size=9, output=False):
    """The sum over positions times, or divided by, a constant."""
    given = ["sum", "c"] if not swap else ["c", "sum"]
    ops = [
        Op("SUM", ["x", "axes"], "sum", (1, 4), {"keepDims": False}),
        Op(kind, given, "y", (1, factor[0] if kind == "FULLY_CONNECTED" else 4)),
        *([Op("NEG", ["sum"], "z", (1, 4))] if also else []),
    ]
    constants = {"axes": np.array([1, 2], np.int32), "c": random(*factor, seed=3)}
    outputs = ["y", *(["z"] if also else []), *(["sum"] if output else [])]
    return flatbuffer({"x": (1, size, size, 4)}, constants, ops, outputs)


def total_case(becomes=None, size=9, **options):
    changes = becomes is not None
    return Case(totals(size=size, **options), as_means, becomes, 1e-6, changes, {"x": random(1, size, size, 4)})


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
            if other_reader
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
        patches = rounding.Patches(graph, op, 8)
        watch(content, [[one[None]] for one in correlated()], [int(op.inputs[0])], lambda _, v, p=patches: p.add(v))
        rounding.round_kernel(graph, op, patches)
    return graph.bytes()


def dynamic(floats):
    return lambda quantized: round_kernels(floats, quantized, [[one[None]] for one in correlated()])


CASES = {
    ("fuse_conv3d_bias", "bias and activation"): volume_case("CONV_3D"),
    ("fuse_conv3d_bias", "a bias of more dimensions"): volume_case("CONV_3D", bias=(1, 1, 1, 1, 2)),
    ("fuse_conv3d_bias", "not: another value at each place"): volume_case(bias=(3, 3, 2)),
    ("fuse_conv3d_bias", "not: the sum of channels of one value"): volume_case(bias=(1,)),
    ("fuse_conv3d_bias", "not: something else reads it"): volume_case(users=2),
    ("fuse_conv3d_bias", "not: it is an output"): volume_case(outputs=("y", "c")),
    ("fuse_conv3d_bias", "not: it has an activation"): volume_case(activation=RELU),
    ("restore_fp32_scalars", "an epsilon"): Case(added(1e-3, True), restored((1e-3, False)), "ADD", 1e-3),
    ("restore_fp32_scalars", "not: an array"): Case(added([1e-3] * 4, True), restored()),
    ("restore_fp32_scalars", "not: another operation"): Case(added(1e-3, True), restored((1e-3, False, "MUL"))),
    ("restore_fp32_scalars", "not: whole already"): Case(added(1e-3, False), restored()),
    ("stage_sums", "axes apart"): staged_case(reduction(), "MEAN MEAN"),
    ("stage_sums", "axes apart, kept"): staged_case(reduction("SUM", keep=True), "SUM SUM"),
    ("stage_sums", "three axes"): staged_case(reduction(axes=(1, 2, 3)), "MEAN MEAN MEAN"),
    ("stage_sums", "one axis"): staged_case(reduction("SUM", (2, 8, 3), (1,)), "RESHAPE SUM SUM", x=(2, 8, 3)),
    ("stage_sums", "one axis without factors"): staged_case(
        reduction(x=(2, 13, 3), axes=(1,)), "PAD RESHAPE MEAN MUL MEAN", x=(2, 13, 3)
    ),
    ("stage_sums", "a sum without factors"): staged_case(
        reduction("SUM", x=(2, 13), axes=(1,)), "PAD RESHAPE SUM SUM", x=(2, 13)
    ),
    ("stage_sums", "an axis again"): staged_case(reduction(x=(1, 36, 5, 2)), "MEAN RESHAPE MEAN MEAN", x=(1, 36, 5, 2)),
    ("stage_sums", "a window"): staged_case(pool(), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 6, 6, 2)),
    ("stage_sums", "a window, padded"): staged_case(
        pool(padding=SAME, y=(1, 3, 6, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 6, 6, 2)
    ),
    ("stage_sums", "a window along one axis"): staged_case(
        pool((1, 17, 1, 2), (8, 1), (4, 1), y=(1, 3, 1, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 17, 1, 2)
    ),
    ("stage_sums", "a window over all of an axis"): staged_case(
        pool((1, 1, 9, 2), (1, 9), (1, 1), y=(1, 1, 1, 2)), "AVERAGE_POOL_2D AVERAGE_POOL_2D", x=(1, 1, 9, 2)
    ),
    ("stage_sums", "not: short"): staged_case(reduction(x=(2, 3, 2, 3))),
    ("stage_sums", "not: computed axes"): staged_case(reduction(computed=True)),
    ("stage_sums", "not: the largest number"): staged_case(reduction("REDUCE_MAX")),
    ("stage_sums", "not: a window that does not part"): staged_case(
        pool((1, 17, 1, 2), (7, 1), (3, 1), y=(1, 4, 1, 2)), x=(1, 17, 1, 2)
    ),
    ("stage_sums", "not: a padded window along one axis"): staged_case(
        pool((1, 17, 1, 2), (8, 1), (4, 1), SAME, y=(1, 5, 1, 2)), x=(1, 17, 1, 2)
    ),
    ("scale_sums", "times a constant"): total_case("MEAN MUL"),
    ("scale_sums", "a constant times it"): total_case("MEAN MUL", swap=True),
    ("scale_sums", "over a constant"): total_case("MEAN DIV", kind="DIV"),
    ("scale_sums", "a dense layer"): total_case("MEAN FULLY_CONNECTED", kind="FULLY_CONNECTED", factor=(3, 4)),
    ("scale_sums", "not: a constant over it"): total_case(kind="DIV", swap=True),
    ("scale_sums", "not: it is added"): total_case(kind="ADD"),
    ("scale_sums", "not: something else reads it"): total_case(also=True),
    ("scale_sums", "not: it is an output"): total_case(output=True),
    ("scale_sums", "not: few terms"): total_case(size=8),
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
    ("equalizing", "not: an activation between"): Case(normed(activation=RELU), equalized),
    ("equalizing", "not: no norm of this package"): Case(normed(scope="n/"), equalized),
    ("rounding", "a convolution"): Case(
        single_layer(), rounded, "CONV_2D", 1e-3, changes_constants=True, inputs={"x": correlated(1)}
    ),
    ("rounding", "not: groups"): Case(single_layer(kernel=(4, 1, 1, 2)), rounded),
    ("rounding", "not: a channel by itself"): Case(single_layer("DEPTHWISE_CONV_2D", (1, 1, 1, 4)), rounded),
    ("rounding", "not: a computed kernel"): Case(computed_kernel(), rounded),
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


@pytest.mark.parametrize("case", [name for name in CASES if not name[1].startswith("not")], ids="-".join)
def test_it_fires(case):
    given = CASES[case]
    after = given.rewrite(given.file)
    assert kinds(after) == given.becomes
    assert kinds(after) != kinds(given.file) or constants(after) != constants(given.file)
    assert (constants(after) != constants(given.file)) == given.changes_constants or not given.changes_constants
    expected, got = run(given.file, given.inputs), run(after, given.inputs)
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=given.error * np.abs(values).max(), rtol=0)


@pytest.mark.parametrize("case", [name for name in CASES if name[1].startswith("not")], ids="-".join)
def test_it_must_not_fire(case):
    given = CASES[case]
    assert given.becomes is None
    after = given.rewrite(given.file)
    assert kinds(after) == kinds(given.file)
    assert constants(after) == constants(given.file)


# --- SavedModels: NodeDefs in a FunctionDef in, NodeDefs out


def function(call, *shape):
    return tf.function(call).get_concrete_function(tf.TensorSpec(shape, tf.float32, "x")).function_def


def computed(definition, x):
    graph = function_def_to_graph(definition)
    with tf.compat.v1.Session(graph=graph) as session:
        return session.run([y.name for y in graph.outputs], {graph.inputs[0].name: x})


def operations(definition):
    passed = ("Const", "Identity", "NoOp")
    return " ".join(sorted(node.op for node in definition.node_def if node.op not in passed))


REWRITES = {"Roll": in_two, "StridedSlice": apart, "Erf": by_tanh, "Erfc": by_tanh}
ROUNDED = {"lower_erf": 1e-6}
HORNER = " ".join(["AddV2"] * 7 + ["Mul"] * 9)
FUNCTIONS = {
    ("lower_roll", "forwards"): (lambda x: tf.roll(x, 1, 1), "ConcatV2 StridedSlice StridedSlice"),
    ("lower_roll", "backwards, from the back"): (lambda x: tf.roll(x, -2, -1), "ConcatV2 StridedSlice StridedSlice"),
    ("lower_roll", "two axes"): (
        lambda x: tf.roll(x, (1, -1), (1, 2)),
        "ConcatV2 ConcatV2 StridedSlice StridedSlice StridedSlice StridedSlice",
    ),
    ("lower_roll", "not: a computed shift"): (lambda x: tf.roll(x, tf.cast(x[0, 0, 0], tf.int32), 1), None),
    ("lower_slice", "new axes"): (lambda x: x[:, None, None], "ExpandDims ExpandDims"),
    ("lower_slice", "behind an ellipsis"): (lambda x: x[..., None, 1:], "ExpandDims StridedSlice"),
    ("lower_slice", "on both sides"): (lambda x: x[:, None, ..., None], "ExpandDims ExpandDims"),
    ("lower_slice", "beside an index"): (lambda x: x[:, 1, None, ::2], "ExpandDims StridedSlice"),
    ("lower_slice", "not: a plain slice"): (lambda x: x[:, 1:], None),
    ("lower_slice", "not: a computed index"): (lambda x: x[:, None, tf.cast(x[0, 0, 0], tf.int32)], None),
    ("lower_erf", "erf"): (tf.math.erf, f"{HORNER} Tanh"),
    ("lower_erf", "erfc"): (tf.math.erfc, f"{HORNER} Neg Sub Tanh"),
    ("lower_erf", "not: of float64"): (lambda x: tf.math.erf(tf.cast(x, tf.float64)), None),
}


@pytest.mark.parametrize("case", FUNCTIONS, ids="-".join)
def test_a_function_is_rewritten_or_left(case):
    call, becomes = FUNCTIONS[case]
    definition, x = function(call, 2, 3, 4), random(2, 3, 4)
    x[0, 0, 0] = 1.0
    before, expected = operations(definition), computed(definition, x)
    count = rewrite_function(definition, REWRITES)
    assert count == (becomes is not None)
    assert operations(definition) == (before if becomes is None else becomes)
    np.testing.assert_allclose(computed(definition, x), expected, rtol=0, atol=ROUNDED.get(case[0], 0))


def test_the_error_function_is_as_exact_as_float32_allows():
    far = [np.inf, -np.inf, 1e30, -1e30, 40.0, -5.0, 0.0]
    x = np.concatenate([np.linspace(-6, 6, 60_001), np.geomspace(1e-30, 6, 20_000), far]).astype(np.float32)
    definition = function(tf.math.erf, len(x))
    assert rewrite_function(definition, REWRITES) == 1
    got, expected = np.ravel(computed(definition, x)).astype(np.float64), np.array([math.erf(float(v)) for v in x])
    np.testing.assert_array_equal(got[-len(far) :], expected[-len(far) :].round())
    np.testing.assert_allclose(got, expected, rtol=4e-7, atol=0)
    assert np.isnan(computed(definition, np.full(len(x), np.nan, np.float32))).all()


@pytest.mark.parametrize("fires", [True, False])
def test_a_saved_model_is_written_anew_only_where_something_fires(fires, tmp_path):
    module = tf.Module()
    module.serve = tf.function(lambda x: tf.roll(x, 1, 1) if fires else x[:, 1:])
    tf.saved_model.save(module, str(tmp_path), module.serve.get_concrete_function(tf.TensorSpec((2, 3), name="x")))
    before, x = (tmp_path / "saved_model.pb").read_bytes(), random(2, 3)
    assert rewritten(tmp_path, REWRITES) == fires
    assert ((tmp_path / "saved_model.pb").read_bytes() != before) == fires
    (got,) = tf.saved_model.load(str(tmp_path)).signatures["serving_default"](tf.constant(x)).values()
    np.testing.assert_array_equal(got, np.roll(x, 1, 1) if fires else x[:, 1:])


# --- sensitivity


@pytest.mark.parametrize(("hurt", "expected"), [(None, []), ("y", [2]), ("c", [])])
def test_a_layer_stays_in_float_where_eight_bits_lose_much_and_it_is_a_fifth_of_the_work(hurt, expected):
    """Two layers, the second with a fifth of the multiplications; the range of one may be far too wide."""
    ops = [
        Op("CONV_2D", ["x", "w", "b"], "c", (1, 4, 4, 4), {"padding": VALID}),
        Op("RELU", ["c"], "r", (1, 4, 4, 4)),
        Op("CONV_2D", ["r", "v", "d"], "y", (1, 4, 4, 1), {"padding": VALID}),
        Op("NEG", ["y"], "z", (1, 4, 4, 1)),
    ]
    given = {**WEIGHTS, "v": random(1, 1, 1, 4, seed=3), "d": random(1, seed=4)}
    content = flatbuffer({"x": (1, 4, 4, 4)}, given, ops, ["z"])
    x = random(1, 4, 4, 4)
    extremes, graph = seen(content, {"x": x}), Graph(content)
    ranges = {tensor: (extremes.low[tensor], extremes.high[tensor]) for tensor in extremes.low}
    ranges = {
        t: (1000 * low, 1000 * high) if graph.name(t) == hurt else (low, high) for t, (low, high) in ranges.items()
    }
    assert sensitivity.most_sensitive(content, ranges, [[x]]) == expected


def test_every_rewrite_has_a_case_that_fires_and_one_that_must_not():
    folder = Path(tflite.__file__).parent
    files = {path.stem for part in ("convert", "quantize") for path in (folder / part).glob("*.py")}
    # These call the rewrites, or only look; `sensitivity` chooses layers, and has a test of its own above.
    helpers = {"__init__", "saved_model_to_tflite", "explain_failure", "rewrite_saved_model"}
    helpers |= {"calibrated", "observer", "ranges", "sensitivity"}
    cases = {**{name: case.becomes for name, case in CASES.items()}, **{name: f[1] for name, f in FUNCTIONS.items()}}
    for rewrite in files - helpers:
        fires = {becomes is not None for (module, _), becomes in cases.items() if module == rewrite}
        assert fires == {True, False}, f"{rewrite} needs a case that fires and one that must not"
    assert {module for module, _ in cases} == files - helpers
