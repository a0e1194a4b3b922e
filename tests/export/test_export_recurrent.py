"""Recurrent layers in both formats, and the loops that TFLite makes of them beside what is quantized."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from exports import EXPORTS
from keras.src.backend.tensorflow import core as backend_core
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.saved_model.portable_recurrent import rnn, scan
from models import randomize

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


def recurrent(cell):
    inputs = keras.Input((3, 4), name="steps")
    x = keras_norms.LayerNormalization()(cell(8, return_sequences=True, name="first")(inputs))
    return randomize(keras.Model(inputs, L.Bidirectional(cell(3), name="both")(x)))


@pytest.mark.parametrize("cell", [L.LSTM, L.GRU])
def test_recurrent_layers(cell, tmp_path):
    model = recurrent(cell)
    assert to_onnx(model, tmp_path / "m.onnx").verification.relative < 2e-5
    assert to_tflite(model, tmp_path / "m.tflite", batch_size=1).verification.relative < 2e-5


def every_kind():
    """Masks, states in and out, backwards, cells above each other, images, a free number of steps."""
    steps, video, ids = keras.Input((None, 4)), keras.Input((3, 5, 5, 2)), keras.Input((6,), dtype="int32")
    y, h, c = L.LSTM(5, return_state=True)(L.Masking()(steps))
    z = L.GRU(5, return_sequences=True, go_backwards=True)(steps, initial_state=h)
    cells = L.RNN([L.LSTMCell(3), L.GRUCell(4)], return_sequences=True)(z)
    zeros = L.RNN(L.GRUCell(4), return_sequences=True, zero_output_for_mask=True)(L.Masking()(steps))
    words = L.Bidirectional(L.LSTM(3, return_sequences=True))(L.Embedding(7, 4, mask_zero=True)(ids))
    return keras.Model([steps, video, ids], [y, c, cells, zeros, words, L.ConvLSTM2D(2, 3, padding="same")(video)])


def test_every_kind_of_loop_takes_any_batch_in_tflite(tmp_path):
    """TensorFlow's converter has none of them where the batch is free."""
    model, rng = randomize(every_kind()), np.random.default_rng(0)
    given = []
    for batch in (1, 3):
        steps, ids = rng.normal(size=(batch, 4 + batch, 4)), rng.integers(0, 7, (batch, 6))
        steps[0, 2:4], ids[:, 4:] = 0.0, 0
        video = rng.normal(size=(batch, 3, 5, 5, 2))
        given.append([steps.astype("float32"), video.astype("float32"), ids.astype("int32")])
    report = to_tflite(model, tmp_path / "m.tflite", inputs=given)
    assert report.ops["WHILE"] == 7
    assert {check.case for check in report.verification.checks} >= {"given", "random, batch 3"}
    assert report.verification.relative < 2e-5


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("masked", ["not", "masked", "masked with zeros"])
@pytest.mark.parametrize("all_outputs", [False, True])
def test_the_loop_for_tflite_is_that_of_keras(all_outputs, masked, backwards):
    """Step by step, on a cell whose state and output differ."""
    rng, zeros = np.random.default_rng(0), masked == "masked with zeros"
    kernel = tf.constant(rng.normal(size=(3, 3)), tf.float32)

    def step(x, states):
        state = tf.tanh(x @ kernel + states[0])
        return 2.0 * state + states[-1], [state]

    def run(loop, x, mask):
        how = {"go_backwards": backwards, "zero_output_for_mask": zeros, "return_all_outputs": all_outputs}
        start = (tf.zeros_like(x[:, 0]),)
        return loop(step, x, start, mask=None if masked == "not" else mask, constants=[tf.ones(3)], **how)

    free = [tf.TensorSpec((None, 5, 3)), tf.TensorSpec((None, 5), tf.bool)]
    given = tf.constant(rng.normal(size=(4, 5, 3)), tf.float32), tf.constant(rng.random((4, 5)) < 0.6)
    original = keras.src.backend.rnn
    found, expected = (
        tf.function(partial(run, loop), input_signature=free)(*given) for loop in (rnn(original), original)
    )
    for ours, theirs in zip(keras.tree.flatten(found), keras.tree.flatten(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(("suffix", "mode"), [(".tflite", "int8"), (".tflite", "int16x8"), (".onnx", "int8")])
@pytest.mark.parametrize("norm", [True, False])
def test_loops_are_quantized_around(norm, suffix, mode, tmp_path):
    """The loop that TFLite makes of a recurrent layer gives back its input too, which has no data of its own."""
    video = np.random.default_rng(0).normal(size=(16, 3, 4, 4, 2)).astype("float32")
    last = [keras_norms.LayerNormalization()] if norm else []
    layers = [L.ConvLSTM2D(3, 3, return_sequences=True), L.Reshape((3, 12)), L.LSTM(8, return_sequences=True), *last]
    model = randomize(keras.Sequential([keras.Input((3, 4, 4, 2)), *layers, L.Dense(3)]))
    report = EXPORTS[suffix](model, tmp_path / f"m{suffix}", batch_size=1, quantize=mode, calibration=video)
    assert report.verification.checks[0].sqnr_db > 25


def traced_loop(form, step, length=None, reverse=False, batch=2):
    """`ops.scan` in one of its forms, traced for any batch, run for 2 rows."""
    rng = np.random.default_rng(0)
    init = {"a": rng.normal(size=(batch, 3)).astype("float32"), "b": np.float32(0.5)}
    xs = None if length else [rng.normal(size=(5, batch, 3)).astype("float32"), np.arange(5.0, dtype="float32")]
    shapes = ({"a": tf.TensorSpec([None, 3]), "b": tf.TensorSpec([])},)
    if xs:
        shapes += ([tf.TensorSpec([5, None, 3]), tf.TensorSpec([5])],)
    run = tf.function(lambda init, xs=None: form(step, init, xs, length, reverse), input_signature=shapes)
    return run(init, *([xs] if xs else []))


def with_results(carry, given):
    """Keras' own loop on TensorFlow wants results of the carry's shapes."""
    x, i = given
    new = {"a": carry["a"] * 0.5 + x, "b": carry["b"] + i}
    return new, {"a": new["a"] * new["b"], "b": i + 1}


STEPS = {
    "results": (with_results, None),
    "no input": (lambda carry, _: ({"a": carry["a"] * 2, "b": carry["b"] + 1}, carry), 4),
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", STEPS)
def test_a_scan_over_any_batch_is_that_of_keras(name, reverse):
    step, length = STEPS[name]
    original = backend_core.scan
    expected, found = (traced_loop(form, step, length, reverse) for form in (original, scan(original)))
    keras.tree.assert_same_structure(expected, found)
    for one, other in zip(keras.tree.flatten(expected), keras.tree.flatten(found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_scan_takes_any_batch_in_tflite(tmp_path):
    x = keras.Input((None, 3), name="x")
    first = keras.ops.zeros_like(x[:, 0])
    carry, steps = keras.ops.scan(
        lambda c, t: (c * 0.5 + t, keras.ops.tanh(c)), first, keras.ops.swapaxes(x, 0, 1), reverse=True
    )
    report = to_tflite(keras.Model(x, [carry, keras.ops.swapaxes(steps, 0, 1)]), tmp_path / "m.tflite")
    assert report.verification.relative < 1e-5
