"""Operations that TFLite does not have: refused by their layer's name, or, when allowed, verified all the same."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import ExportError, to_tflite, verify
from keras_norms.export.formats.tflite.flex_runner import flex_ops
from models import randomize

pytestmark = pytest.mark.runtime


@pytest.fixture(scope="module")
def model():
    """A matrix inverse, which only TensorFlow has, between two stretches of built-in operations."""
    x = keras.Input((3, 3), name="x")
    y = keras.layers.Dense(3, name="before")(x)
    y = keras.layers.Lambda(lambda t: tf.linalg.inv(t + 4 * np.eye(3, dtype="float32")), name="inverse")(y)
    return randomize(keras.Model(x, keras.layers.Dense(2, name="after")(y), name="needs_flex"))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("flex") / "m.tflite"
    return path, to_tflite(model, path, allow_flex=True)


def test_it_is_refused_by_the_layers_name_unless_allowed(model, tmp_path):
    with pytest.raises(ExportError, match=r"no builtin operation for MatrixInverse \(in inverse\).*allow_flex=True"):
        to_tflite(model, tmp_path / "m.tflite")
    assert list(tmp_path.iterdir()) == []


def test_the_warning_is_true(exported):
    path, report = exported
    assert flex_ops(path) == ["MatrixInverse"]
    assert "kernels for MatrixInverse: LiteRT's interpreters do not run it" in report.warnings[0]
    interpreter = Interpreter(str(path))

    def run():
        interpreter.allocate_tensors()  # where an older one says it already
        interpreter.invoke()

    with pytest.raises(RuntimeError, match="Select TensorFlow op"):
        run()


def test_it_is_verified_with_tensorflows_kernel(model, exported, request):
    path, report = exported
    assert report.verification.relative < 1e-4
    assert {check.runtime for check in report.verification.checks} == {"LiteRT and TensorFlow"}
    assert verify(model, path, inputs=np.random.default_rng(0).normal(size=(7, 3, 3)).astype("float32")).ok
    request.getfixturevalue("read_here")  # another process would import TensorFlow once more
    weights = model.get_weights()
    model.get_layer("after").set_weights([weights[2] * 1.01, weights[3]])
    report = verify(model, path)
    assert not report.ok
    assert report.first_divergence == "after"
    model.set_weights(weights)


def test_a_model_without_need_is_as_ever(tmp_path):
    x = keras.Input((4,), name="x")
    report = to_tflite(keras.Model(x, keras.layers.Dense(2)(x)), tmp_path / "m.tflite", allow_flex=True)
    assert report.warnings == ()
    assert {check.runtime for check in report.verification.checks} > {"LiteRT, XNNPACK"}


def test_whole_numbers_are_refused_with_it(model, tmp_path):
    data = np.zeros((4, 3, 3), "float32")
    with pytest.raises(ExportError, match="allow_flex goes with floats.*got 'int8'"):
        to_tflite(model, tmp_path / "m.tflite", allow_flex=True, quantize="int8", calibration=data)
