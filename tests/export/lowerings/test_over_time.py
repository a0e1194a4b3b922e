"""A layer over time is written once, whatever the number of steps, and computes what Keras computes step by step."""

import keras
import pytest
from exports import EXPORTS
from keras import ops
from keras_norms.export import to_tflite
from keras_norms.export.lowerings import over_time as lowering
from models import randomize

import keras_norms

pytestmark = [
    pytest.mark.runtime,
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="forms of TensorFlow's operations"),
    pytest.mark.usefixtures("answers_kept"),
]

L = keras.layers


def over_time(inner, *shape, dtype=None):
    x = keras.Input(shape, dtype=dtype, name="x")
    return randomize(keras.Model(x, L.TimeDistributed(inner, name="over_time")(x)))


def block(*shape):
    """A model with a norm of its batch, which at inference has none."""
    image = keras.Input(shape)
    x = L.BatchNormalization(name="norm")(L.Conv2D(3, 2, name="conv")(image))
    return keras.Model(image, L.GlobalAveragePooling2D()(L.ReLU()(x)))


@keras.saving.register_keras_serializable("tests")
class FromTheBatch(L.Layer):
    """Takes the mean of its batch from each sample, so steps must not become a batch."""

    def call(self, x):
        return x - ops.mean(x, axis=0, keepdims=True)

    def compute_output_shape(self, shape):
        return shape


def masked(cell):
    ids = keras.Input((3, 4), dtype="int32", name="ids")
    words = L.Embedding(5, 3, mask_zero=True)(ids)
    return randomize(keras.Model(ids, L.TimeDistributed(cell, name="over_time")(words)))


def model_over_time(steps):
    over = L.TimeDistributed
    clips, lines = keras.Input((steps, 5, 5, 4), name="clips"), keras.Input((steps, 6, 4), name="lines")
    words, rows = keras.Input((steps, 6), dtype="int32", name="words"), keras.Input((steps, None, 4), name="rows")
    made = {
        "dense": over(L.Dense(3))(clips),
        "conv": over(L.Conv2D(3, 2))(clips),
        "norm": over(L.BatchNormalization())(clips),
        "group": over(keras_norms.GroupNormalization(2))(clips),
        "model": over(block(5, 5, 4))(clips),
        "line": over(L.Conv1D(3, 2))(lines),
        "word": over(L.Embedding(5, 3))(words),
        "row": over(L.MaxPooling1D())(rows),
    }
    return randomize(keras.Model([clips, lines, words, rows], made))


ONCE = {
    ".tflite": {"FULLY_CONNECTED": 1, "CONV_2D": 3, "RSQRT": 1, "GATHER": 1, "MAX_POOL_2D": 1},
    ".onnx": {"MatMul": 1, "Conv": 3, "InstanceNormalization": 1, "Gather": 1, "MaxPool": 1},
}


@pytest.fixture(scope="module", params=[4, None])
def every_layer(request):
    return model_over_time(request.param)


@pytest.mark.parametrize("suffix", EXPORTS)
def test_every_layer_is_written_once(every_layer, suffix, tmp_path):
    report = EXPORTS[suffix](every_layer, tmp_path / f"m{suffix}")
    assert report.verification.relative < 2e-5
    assert {kind: report.ops.get(kind) for kind in ONCE[suffix]} == ONCE[suffix]


def test_steps_that_are_fixed_need_no_sizes_at_run_time(tmp_path):
    report = to_tflite(over_time(L.Conv2D(3, 2), 4, 5, 5, 2), tmp_path / "m.tflite")
    assert report.ops == {"RESHAPE": 2, "CONV_2D": 1}
    assert report.verification.relative < 2e-5


RECURRENT = {"lstm": lambda: over_time(L.LSTM(3), 4, 5, 2), "masked": lambda: masked(L.GRU(2))}


@pytest.mark.parametrize("suffix", EXPORTS)
@pytest.mark.parametrize("case", RECURRENT)
def test_recurrent_layers_over_time(case, suffix, tmp_path):
    report = EXPORTS[suffix](RECURRENT[case](), tmp_path / f"m{suffix}", batch_size=2)
    assert report.verification.relative < 2e-5
    assert report.ops.get("WHILE", 1) == report.ops.get("LSTM", 1) == report.ops.get("Loop", 1) == 1


@pytest.mark.parametrize("suffix", EXPORTS)
def test_a_layer_that_looks_at_its_batch_stays_step_by_step(suffix, tmp_path):
    report = EXPORTS[suffix](over_time(FromTheBatch(), 4, 5), tmp_path / f"m{suffix}")
    assert report.ops["MEAN" if suffix == ".tflite" else "ReduceMean"] == 4
    assert report.verification.relative < 2e-5


def test_a_batch_that_the_steps_decide(tmp_path):
    report = to_tflite(over_time(L.LSTM(3), None, 5, 2), tmp_path / "m.tflite", batch_size=2)
    assert report.verification.relative < 2e-5


class Counting(L.Layer):
    """Counts its calls."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return x

    def compute_output_shape(self, shape):
        return shape


def test_the_trial_changes_no_state():
    layer = L.TimeDistributed(Counting())
    layer(keras.Input((4, 5, 2), batch_size=2))
    before = layer.get_weights()
    assert lowering.lower(layer) is not None
    assert layer.get_weights() == before
