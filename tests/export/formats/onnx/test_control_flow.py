"""Branches and loops in a model's call: convolutions inside of them, choices that must not mix, what has no form."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, to_onnx
from models import randomize
from onnx_files import counted, run_as_written

import keras_norms

onnx = pytest.importorskip("onnx")

pytestmark = pytest.mark.runtime

L, ops = keras.layers, keras.ops


class Inside(L.Layer):
    """Uses its convolutions and its norm in functions that a test hands over."""

    def __init__(self, call, **options):
        super().__init__(**options)
        self.how, self.wide, self.one = call, L.Conv2D(4, 3, padding="same"), L.Conv2D(4, 1)
        self.norm = keras_norms.GroupNormalization(2)

    def build(self, shape):
        self.wide.build(shape)
        self.one.build(shape)
        self.norm.build((*shape[:-1], 4))

    def call(self, x):
        return self.how(self, x)


def nested(self, x):
    inner = lambda: ops.cond(ops.max(x) > 1, lambda: self.norm(self.wide(x)), lambda: self.wide(x))  # noqa: E731
    return ops.cond(ops.mean(x) > 0, inner, lambda: self.one(x))


# what a layer does with x, and the operation of ONNX that it is
FLOWS = {
    "branches": (lambda s, x: ops.cond(ops.mean(x) > 0, lambda: s.norm(s.wide(x)), lambda: s.one(x)), "If"),
    "a branch in a branch": (nested, "If"),
    "until": (
        lambda s, x: ops.while_loop(lambda i, y: ops.max(y) > i, lambda i, y: (i + 0.2, ops.tanh(s.wide(y))), (0.0, x))[
            1
        ],
        "Loop",
    ),
    "times": (lambda s, x: ops.fori_loop(0, 3, lambda i, y: ops.tanh(s.wide(y)), x), "Loop"),
    "each": (lambda s, x: ops.map(lambda y: s.wide(y[None])[0], x), "Loop"),
}


def between_convolutions(layer):
    x = image = keras.Input((6, 6, 3), name="x")
    x = layer(L.Conv2D(4, 3, padding="same")(x))
    return randomize(keras.Model(image, L.Conv2D(2, 1, name="y")(x)))


@pytest.mark.parametrize("case", FLOWS)
def test_convolutions_inside_of_branches_and_loops(case, tmp_path):
    call, kind = FLOWS[case]
    model = between_convolutions(Inside(call, name="inside"))
    report = to_onnx(model, tmp_path / "m.onnx")
    assert report.verification.relative < 2e-5
    assert counted(tmp_path / "m.onnx")[kind] == 1
    proto = onnx.load(tmp_path / "m.onnx")
    for offset in (-2, 0, 2):  # both sides of a branch
        x = np.random.default_rng(0).normal(offset, 1, (2, 6, 6, 3)).astype("float32")
        np.testing.assert_allclose(run_as_written(proto, x)["y"], model(x), rtol=0, atol=1e-4)


class Scanned(L.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.dense = L.Dense(3)

    def build(self, shape):
        self.dense.build((shape[0], shape[2]))

    def call(self, x):
        return ops.scan(lambda c, t: (self.dense(t) + c, c), ops.zeros_like(x[:, 0]), ops.transpose(x, (1, 0, 2)))[1]


def transformed(x):
    import tensorflow as tf

    return tf.math.real(tf.signal.fft2d(tf.complex(x[..., 0], x[..., 1])))


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (Scanned(name="odd"), (None, 3), r"what TensorFlow computes in 'odd' \(ValueError: .*scan.*\)"),
        (L.Lambda(transformed, name="odd"), (4, 4, 2), "TensorFlow's Complex, FFT2D, Real in 'odd'"),
    ],
    ids=["scan", "complex"],
)
def test_what_has_no_form_in_onnx_is_refused_in_one_sentence(layer, shape, reason, tmp_path):
    x = keras.Input(shape, name="x")
    with pytest.raises(ExportError, match=f"^ONNX has no operation for {reason}. Write the layer with other") as caught:
        to_onnx(keras.Model(x, layer(x)), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
