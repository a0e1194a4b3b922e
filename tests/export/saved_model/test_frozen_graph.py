"""Recorded functions as frozen graphs, and the models that are no such graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.onnx_format import OnnxFormat
from keras_norms.export.model.signature import signature
from keras_norms.export.saved_model import record as recording
from keras_norms.export.saved_model.frozen_graph import FILE, read_frozen, write_frozen

SPEC = [tf.TensorSpec((None, 2), name="x")]


def function(call):
    return tf.function(call, input_signature=SPEC, autograph=False).get_concrete_function()


def test_a_frozen_graph_comes_back_with_its_names(tmp_path):
    weight, constant = tf.Variable([[1.0], [2.0]]), tf.constant([5.0])
    concrete = function(lambda x: {"a": x @ weight + constant, "b": -x})
    assert write_frozen(concrete, tmp_path, 12)
    definition, inputs, outputs = read_frozen(tmp_path / FILE)
    assert inputs == ["x:0"]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            a, b = session.run(outputs, {inputs[0]: [[3.0, 4.0]]})
    np.testing.assert_array_equal(a, [[16.0]])
    np.testing.assert_array_equal(b, [[-3.0, -4.0]])


def test_weights_of_more_bytes_are_not_frozen(tmp_path):
    weight, constant = tf.Variable([[1.0], [2.0]]), tf.constant([5.0])
    assert not write_frozen(function(lambda x: x @ weight + constant), tmp_path, 11)
    assert not list(tmp_path.iterdir())


def test_a_function_that_is_marked_for_xla_is_not_frozen(tmp_path):
    marked = tf.function(lambda x: x + 1.0, jit_compile=True)
    assert not write_frozen(function(lambda x: marked(x)), tmp_path, 100)
    looped = function(lambda x: tf.while_loop(lambda x: tf.reduce_sum(x) < 9.0, lambda x: [marked(x)], [x]))
    assert not write_frozen(looped, tmp_path, 100)


@pytest.mark.parametrize(("most", "written"), [(0, "saved_model.pb"), (1, FILE)])
def test_a_model_without_weights_is_written_as_the_converter_reads_it(tmp_path, most, written):
    model = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    recording.record(model, tmp_path, signature(model), False, frozen_below=most)
    assert written in [path.name for path in tmp_path.iterdir()]


@pytest.mark.runtime
def test_both_ways_give_the_same_file(tmp_path, monkeypatch):
    inputs = keras.Input((5, 4))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GRU(4, return_sequences=True)(inputs)))
    written, kept = [], recording.write_frozen
    monkeypatch.setattr(recording, "write_frozen", lambda *given: written.append(kept(*given)) or written[-1])
    to_onnx(model, tmp_path / "frozen.onnx")
    monkeypatch.setattr(OnnxFormat, "frozen_below", lambda self: 0)
    to_onnx(model, tmp_path / "saved.onnx")
    assert written == [True]  # it is not asked for the other
    assert (tmp_path / "frozen.onnx").read_bytes() == (tmp_path / "saved.onnx").read_bytes()
