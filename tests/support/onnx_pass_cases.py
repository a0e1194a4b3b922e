"""For every row of PASSES a graph in ONNX's text form on which it fires, and one on which it must not."""

from dataclasses import dataclass


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
RESIZED = """(float[batch, 3, 3, 8] x) => (float[batch, 5, 4, 8] y) <{size}>
    {{ y = Resize <mode = "linear", axes = {axes}> (x, , , s) }}"""
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
        "(float[2, 3] x, float[2, 3] w) => (float[2, 2] y) <float s = {0.5}> "
        "{ u = Mul(w, s)  v = Transpose <perm = [1, 0]> (u)  y = MatMul(x, v) }",
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
    "whole_resize_sizes": Case(
        RESIZED.format(axes="[1, 2, 3]", size="int64[3] s = {5, 4, 8}"),
        "Shape Concat Resize",
        RESIZED.format(axes="[1, 2]", size="int64[2] s = {5, 4}"),
    ),
    "forget_shapes": Case(
        "(float[2, 3] x) => (float[2, 3] y) { a = Relu(x)  y = Tanh(a) }",
        "Relu Tanh",
        "(float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }",
        fired=lambda model: any(node.outputs[0].shape is None for node in model.graph),
    ),
}
