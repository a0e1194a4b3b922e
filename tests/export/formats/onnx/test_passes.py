"""Every row of PASSES on graphs in ONNX's text form: one on which it fires, one on which it must not.

The operations that are left are compared, and the numbers with those before.
"""

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
ir = pytest.importorskip("onnx_ir")

from keras_norms.export.formats.onnx.passes import PASSES  # noqa: E402
from keras_norms.export.formats.onnx.passes.check_passes import PassChecker, PassError  # noqa: E402
from keras_norms.export.formats.onnx.passes.clean import infer_shapes, remove_unused  # noqa: E402
from keras_norms.export.formats.onnx.passes.pass_types import Group, Pass, PassOptions, PassResult  # noqa: E402
from keras_norms.export.formats.onnx.passes.run_passes import apply_pass, optimize  # noqa: E402
from onnx import parser  # noqa: E402

ROWS = {row.name: row for row in PASSES}


def parsed(text, opset=18):
    """The graph of `text`; inputs that are called w... are weights of random numbers."""
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {text}')
    rng = np.random.default_rng(1)
    for value in [value for value in proto.graph.input if value.name.startswith("w")]:
        array = rng.normal(size=[n.dim_value for n in value.type.tensor_type.shape.dim]).astype("float32")
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
        proto.graph.input.remove(value)
    for i, node in enumerate(proto.graph.node):
        node.name = f"n{i}"
    onnx.checker.check_model(proto)
    model = ir.from_proto(proto)
    infer_shapes(model)
    return model


def kinds(model):
    return " ".join(node.op_type for node in model.graph)


@dataclass
class Case:
    """A graph on which the pass fires and what is left of it; one on which it must not, where all operations stay.

    `fired` says of a graph whether the pass changed it, where operations do not tell. `before` are passes that come
    first.
    """

    fires: str
    left: str
    stays: str
    fired: object = None
    opset: int = 18
    before: tuple = ()


def shapes(model):
    return [tuple(str(n) for n in value.shape) for value in model.graph.inputs]


def inputs_of(model, op_type):
    return next([x is not None for x in node.inputs] for node in model.graph if node.op_type == op_type)


RESHAPES = Case(
    """(float[2, 6] x) => (float[2, 6] y) <int64[2] a = {3, 4}, int64[2] b = {2, 6}>
    { u = Relu(x)  v = Reshape(u, a)  w = Reshape(v, b)  y = Tanh(w) }""",
    "Relu Tanh",
    """(float[2, 6] x) => (float[2, 3, 2] y) <int64[2] a = {2, 6}, int64[3] b = {0, 3, 2}>
    { u = Relu(x)  v = Transpose <perm = [1, 0]> (u)  w = Reshape(v, a)  z = Reshape(w, b)  y = Tanh(z) }""",
)
LAYER_NORM = """(float[2, 5, 8] x, float[8] w) => (float[2, 5, 8] y) <int64[1] last = {{-1}}, float e = {{0.001}}>
    {{ m = ReduceMean(x, last)  c = Sub(x, m)  q = Mul(c, {squared})  v = ReduceMean(q, last)  a = Add(v, e)
      s = Sqrt(a)  i = Reciprocal(s)  n = Mul(c, i)  y = Mul(n, w) }}"""
GROUP_NORM = """(float[2, 8, 6, 6] x) => (float[2, 8, 6, 6] y)
    <int64[1] last = {2}, float e = {0.001}, int64[3] to = {0, 4, -1}, int64[4] back = {0, 8, 6, 6}>
    { r = Reshape(x, to)  m = ReduceMean(r, last)  c = Sub(r, m)  q = Mul(c, c)  v = ReduceMean(q, last)  a = Add(v, e)
      s = Sqrt(a)  i = Reciprocal(s)  n = Mul(c, i)  y = Reshape(n, back) }"""
SHUFFLE = """(float[{x}] x) => (float[{y}] y) <int64[6] a = {{{a}}}, int64[4] b = {{{b}}}>
    {{ u = Reshape(x, a)  v = Transpose <perm = [{perm}]> (u)  y = Reshape(v, b) }}"""
IN_DEPTH = {"x": "1, 12, 4, 6", "y": "1, 3, 8, 12", "a": "1, 2, 2, 3, 4, 6", "b": "1, 3, 8, 12"}
BETWEEN = """(float[1, 6, 6, 4] x, float[4, 4, 1, 1] w) => (float[1, 6, 6, 4] y) <int64 axis = {{2}}>
    {{ a = Transpose <perm = [0, 3, 1, 2]> (x)  b = Conv(a, w)  c = Transpose <perm = [0, 2, 3, 1]> (b)  d = {between}
      e = Transpose <perm = [0, 3, 1, 2]> (d)  f = Conv(e, w)  y = Transpose <perm = [0, 2, 3, 1]> (f) }}"""
DIRECTIONS = """(float[5, 1, 3] x, float[2, 6, 3] w, float[2, 6, 2] w2) => (float[1, 5, 4] y)
    <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}}>
    {{ a, l = GRU <hidden_size = 2, direction = "bidirectional"> (x, w, w2)
      f = Slice(a, zero, one, one)  g = Squeeze(f, one)  h = Transpose <perm = [1, 0, 2]> (g)
      r = Slice(a, one, two, one)  s = Squeeze(r, one)  t = Transpose <perm = [1, 0, 2]> (s)
      y = Concat <axis = 2> ({order}) }}"""
REVERSED = """(float[5, 1, 3] x, float[1, 6, 3] w, float[1, 6, 2] w2) => (float[5, 1, 2] y)
    <int64[1] n = {{{steps}}}, int64[1] one = {{1}}>
    {{ a = ReverseSequence <time_axis = 0, batch_axis = 1> (x, n)  b, l = GRU <hidden_size = 2> (a, w, w2)
      c = Squeeze(b, one)  y = ReverseSequence <time_axis = 0, batch_axis = 1> (c, n) }}"""
STATE = """(float[5, 1, 3] x, float[1, 6, 3] w, float[1, 6, 2] w2) => (float[1, 1, 2] y) <float[1, 1, 2] h = {{{h}}}>
    {{ a, y = GRU <hidden_size = 2> (x, w, w2, , , h) }}"""
GRU = """(float[5, 1, 3] x, float[3, 2] w0, float[2, 2] w1, float[3, 2] w2, float[2, 2] w3, float[3, 2] w4,
      float[2, 2] w5) => (float[1, 2] y)
    <int64 n = {{5}}, bool yes = {{1}}, int64 zero = {{0}}, int64 step = {{1}}, float one = {{1}},
     float[1, 2] start = {{0.5, -0.5}}>
    {{ last, y = Loop <body = b (int64 k, bool go, int64 i, float[1, 2] h) => (bool more, int64 j, float[1, 2] new) {{
        t = Gather <axis = 0> (x, i)
        a = MatMul(t, w0)  b = MatMul(h, w1)  c = Add(a, b)  z = Sigmoid(c)
        d = MatMul(t, w2)  e = MatMul(h, w3)  f = Add(d, e)  r = Sigmoid(f)
        l = MatMul(t, w4)  m = MatMul(h, w5)  o = Mul(r, m)  p = Add(l, o)  q = {activation}(p)
        s = Mul(z, h)  u = Sub(one, z)  v = Mul(u, q)  new = Add(s, v)
        j = Add(i, step)  more = Less(j, n)
      }}> (n, yes, zero, start) }}"""
DENSE = """(float[2, 3, 4] x, float[4, 5] w) => (float[{y}] y) <int64[2] a = {{-1, 4}}, int64[3] b = {{{y}}}>
    {{ r = Reshape(x, a)  m = MatMul(r, w)  y = Reshape(m, b) }}"""
HEIGHT = """(float[1, 3, 8] x, float[3, 3, {high}, 3] w) => (float[1, 3, 6] y) <int64[1] h = {{2}}>
    {{ u = Unsqueeze(x, h)  c = Conv <pads = [{pad}, 0, {pad}, 0], kernel_shape = [{high}, 3]> (u, w)
       y = Squeeze(c, h) }}"""
REDUCED = """(float[1, 3, 3, 8] x) => (float[{y}] y) <int64[2] a = {{1, 2}}, int64[4] b = {{{y}}}>
    {{ m = ReduceMean <keepdims = 0> (x, a)  y = Reshape(m, b) }}"""
GELU = """(float[2, 3] x) => (float[2, 3] y) <float r = {{{r}}}, float one = {{1}}, float half = {{0.5}}>
    {{ n = Neg(x)  s = Mul(n, r)  e = Erf(s)  m = Sub(one, e)  h = Mul(x, half)  y = Mul(h, m) }}"""
HARD_SIGMOID = """(float[2, 3] x) => (float[2, 3] y)
    <float a = {{3}}, float zero = {{0}}, float six = {{6}}, float f = {{{f}}}>
    {{ u = Add(x, a)  c = Clip(u, zero, six)  y = Div(c, f) }}"""
BIAS = """(float[1, 3, 4, 4] x, float[4, 3, 1, 1] w, float[{b}] w2) => (float[1, 4, 4, 4] y)
    {{ c = Conv(x, w)  y = Add(c, w2) }}"""
PADDING = """(float[1, 3, 4, 4] x, float[4, 3, 3, 3] w) => (float[1, 4, 4, 4] y)
    <int64[8] p = {{0, 0, 1, 1, 0, 0, 1, 1}}, float v = {{{value}}}> {{ u = Pad(x, p, v)  y = Conv(u, w) }}"""
SERIES = """(float[1, {c}, 8] x, float[{c}, {c}, 3] w) => (float[1, {c}, 6] y) {{ c = Conv(x, w)  y = Relu(c) }}"""
LONG = """(float[2, {n}, 3] x) => (float[a, b] y) <int64[1] a = {{1}}> {{ y = {op} <keepdims = 0> (x, a) }}"""
MEAN = """(float[1, 3, 4, 4] x) => (float[a, b, c, d] y) <int64[2] a = {{{axes}}}> {{ y = ReduceMean(x, a) }}"""
SHAPE = """(float[N, {m}, 2] x) => (float[a, b{more}] y)
    <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] e = {{{e}}}>
    {{ s = Shape(x)  n = Gather(s, zero)  {t}  y = Reshape(x, t) }}"""

CASES = {
    "lift_constants": Case(
        "(float[2] x) => (float[2] y) { c = Constant <value_float = 2.0> ()  y = Mul(x, c) }",
        "Mul",
        "(float[2] x) => (float[2] y) { c = Abs(x)  y = Mul(x, c) }",
    ),
    "drop_identities": Case(
        "(float[2] x) => (float[2] y) { a = Identity(x)  y = Relu(a) }",
        "Relu",
        "(float[2] x) => (float[2] y) { y = Identity(x) }",
    ),
    "fold_weights": Case(
        "(float[2, 3] x, float[2, 3] w) => (float[2, 2] y) { v = Transpose <perm = [1, 0]> (w)  y = MatMul(x, v) }",
        "MatMul",
        "(float[2, 3] x, float[2, 3] w) => (float[2, 3] y) <int64[2] s = {0, 3}> { v = Reshape(w, s)  y = Add(x, v) }",
    ),
    "name_free_sizes": Case(
        "(float[a, b] x) => (float[a, b] y) { y = Relu(x) }",
        "Relu",
        "(float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }",
        fired=lambda model: shapes(model) == [("batch", "x_1")],
    ),
    "einsum_as_matmul": Case(
        '(float[2, 3, 4] x, float[2, 5, 4] w) => (float[2, 3, 5] y) { y = Einsum <equation = "abc,adc->abd"> (x, w) }',
        "Transpose MatMul",
        '(float[2, 3, 4] x, float[2, 3, 4] w) => (float[2, 3] y) { y = Einsum <equation = "abc,abc->ab"> (x, w) }',
    ),
    "dense_without_reshapes": Case(DENSE.format(y="2, 3, 5"), "MatMul", DENSE.format(y="3, 2, 5")),
    "fold_shapes": Case(
        SHAPE.format(m=4, more="", e=8, t="t = Concat <axis = 0> (n, e)"),
        "Reshape",
        SHAPE.format(m="M", more=", c", e=2, t="m = Gather(s, one)  t = Concat <axis = 0> (m, n, e)"),
    ),
    "drop_unit_height": Case(HEIGHT.format(high=1, pad=0), "Conv", HEIGHT.format(high=3, pad=1)),
    "drop_reshapes": RESHAPES,
    "reduce_without_reshape": Case(REDUCED.format(y="1, 1, 1, 8"), "ReduceMean", REDUCED.format(y="1, 8, 1, 1")),
    "simplify_where": Case(
        "(float[2, 3] x) => (float[2, 3] y) <float t = {0.5}> { c = Greater(x, t)  d = And(c, c)  y = Where(d, x, t) }",
        "Greater Where",
        """(float[2, 3] x) => (float[2, 3] y) <float t = {0.5}, float u = {1}>
        { c = Greater(x, t)  b = Less(x, u)  d = And(c, b)  y = Where(d, x, t) }""",
    ),
    "erf_as_gelu": Case(GELU.format(r=0.70710678), "Gelu", GELU.format(r=0.7), opset=20),
    "min_as_clip": Case(
        "(float[2, 3] x) => (float[2, 3] y) <float six = {6}> { r = Relu(x)  y = Min(r, six) }",
        "Clip",
        "(float[2, 3] x) => (float[2, 3] y) <float six = {6}> { r = Relu(x)  m = Min(r, six)  y = Add(m, r) }",
    ),
    "clip_as_hard_sigmoid": Case(HARD_SIGMOID.format(f=6), "HardSigmoid", HARD_SIGMOID.format(f=5)),
    "loop_as_gru": Case(GRU.format(activation="Tanh"), "Unsqueeze GRU Squeeze", GRU.format(activation="Elu")),
    "drop_zero_states": Case(
        STATE.format(h="0, 0"),
        "GRU",
        STATE.format(h="1, 0"),
        fired=lambda model: inputs_of(model, "GRU").count(True) == 3,
    ),
    "reverse_as_direction": Case(REVERSED.format(steps=5), "GRU Squeeze", REVERSED.format(steps=4)),
    "join_directions": Case(DIRECTIONS.format(order="h, t"), "GRU Transpose Reshape", DIRECTIONS.format(order="t, h")),
    "choose_norm_forms": Case(LAYER_NORM.format(squared="c"), "LayerNormalization", LAYER_NORM.format(squared="x")),
    "insert_pixel_shuffles": Case(
        SHUFFLE.format(
            x="1, 4, 6, 12", y="1, 8, 12, 3", a="1, 4, 6, 2, 2, 3", perm="0, 1, 3, 2, 4, 5", b="1, 8, 12, 3"
        ),
        "PixelShuffle",
        SHUFFLE.format(
            x="1, 4, 6, 12", y="1, 12, 8, 3", a="1, 4, 6, 2, 2, 3", perm="0, 1, 3, 2, 4, 5", b="1, 12, 8, 3"
        ),
    ),
    "settle_layout": Case(
        BETWEEN.format(between="Relu(c)"),
        "Transpose Conv Relu Conv Transpose",
        BETWEEN.format(between="CumSum(c, axis)"),
    ),
    "write_group_norms": Case(
        GROUP_NORM,
        "Reshape Slice Sub InstanceNormalization Reshape",
        "(float[1, 2, 3, 3] x, float[2] w) => (float[1, 2, 3, 3] y) { y = InstanceNormalization(x, w, w) }",
        before=("choose_norm_forms",),
    ),
    "write_pixel_shuffles": Case(
        SHUFFLE.format(**IN_DEPTH, perm="0, 3, 4, 1, 5, 2"),
        "DepthToSpace",
        SHUFFLE.format(**IN_DEPTH, perm="0, 3, 4, 2, 5, 1"),
        before=("insert_pixel_shuffles",),
    ),
    "merge_transposes": Case(
        """(float[2, 3, 4] x) => (float[3, 4, 2] y)
        { a = Transpose <perm = [1, 0, 2]> (x)  b = Transpose <perm = [0, 2, 1]> (a)  y = Relu(b) }""",
        "Transpose Relu",
        """(float[2, 3, 4] x) => (float[2, 3, 4] y)
        { a = Transpose <perm = [0, 2, 1]> (x)  b = Softmax(a)  y = Transpose <perm = [0, 2, 1]> (b) }""",
    ),
    "transpose_as_reshape": Case(
        "(float[2, 1, 8] x) => (float[2, 8, 1] y) { y = Transpose <perm = [0, 2, 1]> (x) }",
        "Reshape",
        "(float[2, 3, 8] x) => (float[2, 8, 3] y) { y = Transpose <perm = [0, 2, 1]> (x) }",
    ),
    "drop_reshapes_again": RESHAPES,
    "bias_into_convolution": Case(BIAS.format(b="4, 1, 1"), "Conv", BIAS.format(b="4, 1, 4")),
    "padding_into_convolution": Case(PADDING.format(value=0), "Conv", PADDING.format(value=1)),
    "conv1d_as_conv2d": Case(SERIES.format(c=16), "Unsqueeze Conv Relu Squeeze", SERIES.format(c=12)),
    "mean_as_pool": Case(MEAN.format(axes="2, 3"), "GlobalAveragePool", MEAN.format(axes="1, 2")),
    "reduce_in_stages": Case(
        LONG.format(n=9000, op="ReduceMean"), "Reshape ReduceMean ReduceMean", LONG.format(n=4096, op="ReduceMean")
    ),
    "forget_shapes": Case(
        "(float[2, 3] x) => (float[2, 3] y) { a = Relu(x)  y = Tanh(a) }",
        "Relu Tanh",
        "(float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }",
        fired=lambda model: any(node.outputs[0].shape is None for node in model.graph),
    ),
}


def test_every_pass_has_a_case_and_a_row_of_its_own():
    assert list(CASES) == [row.name for row in PASSES], "in the order of PASSES"
    for name, case in CASES.items():
        assert case.fires, name
        assert case.stays, name
        assert case.fires != case.stays, name


# Files in passes/ that are no pass: what passes share, or run in.
HELPERS = {
    *("branch_shapes", "clean", "ir_utils", "min_cut", "size", "skips", "symbolic_shapes", "tidy_names"),
    *("check_passes", "pass_types", "run_passes"),
    *("layout_homes", "permute_op", "permute_weights", "feature_block"),  # of layout
    *("lift_to_2d", "loop_body", "norm_pattern"),  # of conv1d_as_conv2d, loop_as_gru, norm_forms
}


def test_every_file_is_that_of_a_pass_or_known_to_be_none():
    folder = Path(inspect.getfile(optimize)).parent
    of_passes = {Path(inspect.getfile(row.rewrite)).stem for row in PASSES}
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} == of_passes | HELPERS
    assert not of_passes & HELPERS


def test_rows_are_in_the_order_of_their_groups_and_say_why():
    assert [row.group for row in PASSES] == sorted([row.group for row in PASSES], key=list(Group).index)
    assert all(len(row.why_here) > 10 for row in PASSES)


def after(case, text, name):
    """The graph behind the pass, whose numbers are held to those before."""
    model = parsed(text, case.opset)
    checker = PassChecker(model)
    for first in case.before:
        apply_pass(ROWS[first], model, PassOptions())
    result = apply_pass(ROWS[name], model, PassOptions())
    remove_unused(model)
    checker.check(name, model, result.channels_first)
    return model


@pytest.mark.parametrize("name", CASES)
def test_a_pass_fires(name):
    case = CASES[name]
    model = after(case, case.fires, name)
    assert kinds(model) == case.left
    if case.fired is None:
        assert kinds(model) != kinds(parsed(case.fires, case.opset))
    else:
        assert case.fired(model)


@pytest.mark.parametrize("name", CASES)
def test_a_pass_does_not_fire_where_it_would_be_wrong_or_gain_nothing(name):
    case = CASES[name]
    model = after(case, case.stays, name)
    assert kinds(model) == kinds(parsed(case.stays, case.opset))
    assert case.fired is None or not case.fired(model)


GRAPH = "(float[N, 3] x, float[3] w) => (float[N, 3] y) { a = Identity(x)  b = Mul(a, w)  y = Relu(b) }"


def doubling(model, _options):
    for node in [node for node in model.graph if node.op_type == "Mul"]:
        node.replace_input_with(1, node.inputs[0])


def dangling(model, _options):
    next(node for node in model.graph if node.op_type == "Mul").replace_input_with(1, ir.Value(name="nowhere"))


BROKEN = {
    "square_by_mistake": (doubling, "Pass 'square_by_mistake' changed output 'y'"),
    "point_nowhere": (dangling, "Pass 'point_nowhere' left a graph that does not run"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pass_is_named_if_passes_are_checked(name, monkeypatch):
    rewrite, message = BROKEN[name]
    passes = (*PASSES[:8], Pass(name, Group.CANONICALIZE, rewrite, "to be found"), *PASSES[8:])
    monkeypatch.setenv("KERAS_NORMS_CHECK_PASSES", "1")
    optimize(parsed(GRAPH), PassOptions())
    with pytest.raises(PassError, match=message):
        optimize(parsed(GRAPH), PassOptions(), passes)
    monkeypatch.delenv("KERAS_NORMS_CHECK_PASSES")
    optimize(parsed(GRAPH), PassOptions(), PASSES)


def test_the_check_follows_a_layout_that_turns():
    model = parsed(BETWEEN.format(between="Relu(c)"))
    checker = PassChecker(model)
    result = apply_pass(ROWS["settle_layout"], model, PassOptions(channels_first_io=True))
    assert result == PassResult(channels_first=("x", "y"))
    checker.check("settle_layout", model, result.channels_first)
    with pytest.raises(PassError):
        PassChecker(parsed(BETWEEN.format(between="Relu(c)"))).check("settle_layout", model, ())


@pytest.mark.parametrize(
    ("got", "fails"), [([1, 2], False), ([1, 2.00001], False), ([1, 2.01], True), ([1, np.nan], True), ([1], True)]
)
def test_the_check_tells_rounding_from_change(got, fails, monkeypatch):
    checker = PassChecker(parsed(GRAPH))
    checker._outputs = {"y": np.array([1.0, 2.0], np.float32)}
    monkeypatch.setattr(
        "keras_norms.export.formats.onnx.passes.check_passes._run", lambda *_: {"y": np.array(got, np.float32)}
    )
    outcome = pytest.raises(PassError) if fails else pytest.MonkeyPatch.context()
    with outcome:
        checker.check("any", SimpleNamespace(), ())


def test_the_log_names_each_pass_and_why_it_left_a_node(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_NORMS_PASS_LOG", str(tmp_path / "log"))
    optimize(parsed(CASES["min_as_clip"].stays), PassOptions())
    lines = (tmp_path / "log").read_text().splitlines()
    at = lines.index("min_as_clip: 3 nodes before, 3 behind")
    assert lines[at + 1] == "    left Min 'n1': its Relu is used otherwise too"
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [row.name for row in PASSES]
