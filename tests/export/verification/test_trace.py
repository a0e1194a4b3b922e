"""Every layer's error in real files: which layer lost the accuracy, by the names that the user gave."""

import json

import keras
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export import VerificationError, lowerings, to_onnx, to_tflite, verify
from models import NORMS, image_net, randomize

import keras_norms

onnx = pytest.importorskip("onnx")
tf = pytest.importorskip("tensorflow")
pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]
layers = keras.layers
EXPORTS = [(to_tflite, "m.tflite"), (to_onnx, "m.onnx")]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(size=(32, 12, 12, 3)).astype("float32")


def by_title(trace):
    return {layer.title: layer for layer in trace.layers}


def coarse(path):
    """The file with one convolution's kernel in 5 levels."""
    model = flatbuffer_utils.read_model(str(path))
    (tensor,) = [t for t in model.subgraphs[0].tensors if t.shape is not None and list(t.shape) == [16, 3, 3, 16]]
    data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), "int8")
    rounded = np.clip(np.round(data / 64.0) * 64, -127, 127).astype("int8")
    model.buffers[tensor.buffer].data = np.frombuffer(rounded.tobytes(), "uint8")
    flatbuffer_utils.write_model(model, str(path))


@pytest.mark.parametrize(
    ("norm", "worst", "reason"),
    [
        ("LayerNormalization", "conv_1", None),
        ("BatchNormalization", "relu_1", "fused into 'relu_1'"),  # one operation with the convolution
    ],
)
def test_the_layer_that_is_quantized_badly_is_the_worst_drop(norm, worst, reason, images, tmp_path):
    model, path = image_net(NORMS[norm], channels=16), tmp_path / "m.tflite"
    good = to_tflite(model, path, quantize="int8", calibration=images, trace=True).trace
    assert min(layer.sqnr_db for layer in good.layers if layer.sqnr_db is not None) > 30
    coarse(path)
    trace = verify(model, path, inputs=images, trace=True).trace
    assert trace.worst_drop.layer == worst
    assert trace.worst_drop.before_db > 30 > 20 > trace.worst_drop.sqnr_db
    assert f"<- worst drop, from {trace.worst_drop.before_db:.1f}" in str(trace)
    if reason:
        assert by_title(trace)["conv_1"].note == reason
    else:
        assert by_title(trace)["relu_0"].sqnr_db == pytest.approx(by_title(good)["relu_0"].sqnr_db, abs=0.1)


def test_a_file_that_is_refused_has_its_trace_in_the_error(tmp_path, monkeypatch):
    def wrong(layer, channels_first):
        right = lowerings.group_norm.lower(layer, channels_first)
        return (lambda x: right(-x)) if layer.name == "norm_1" else right

    rows = tuple((k, wrong if k is keras_norms.GroupNormalization else lower) for k, lower in lowerings.LOWERINGS)
    monkeypatch.setattr(lowerings, "LOWERINGS", rows)
    with pytest.raises(VerificationError) as caught:
        to_onnx(image_net(NORMS["GroupNormalization"]), tmp_path / "m.onnx", trace=True)
    assert caught.value.trace.worst_drop.layer == "norm_1"
    assert not list(tmp_path.iterdir())


def every_structure():
    """A branch, a layer called twice, a nested model called twice, operations without layers, two outputs."""
    inner = keras.Sequential(
        [keras.Input((12, 12, 4)), layers.Conv2D(4, 1, name="conv"), layers.BatchNormalization(name="norm")],
        name="inner",
    )
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = inputs = keras.Input((12, 12, 3), name="image")
    x = layers.ReLU(name="first_relu")(
        layers.BatchNormalization(name="first_norm")(layers.Conv2D(4, 3, name="first")(x))
    )
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Add(name="joined")([inner(x), inner(x + 0.5)])
    x = layers.Dropout(0.5, name="drop")(shared(shared(x)))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = [layers.Dense(5, name="logits")(x), layers.Dense(3, activation="softmax", name="shares")(x)]
    return randomize(keras.Model(inputs, outputs))


FOUND = {
    *("first_relu", "joined", "shared", "shared, call 2", "drop", "pool", "logits", "shares"),
    *("inner/conv", "inner/conv, call 2"),
}


@pytest.mark.parametrize(("export", "name"), EXPORTS)
def test_every_layer_of_a_float_file_is_above_100_db(export, name, tmp_path):
    model = every_structure()
    report = export(model, tmp_path / name, trace=True)
    told = by_title(report.trace)
    assert list(told)[:3] == ["first", "first_norm", "first_relu"], "in order of execution"
    assert list(told)[-2:] in (["logits", "shares"], ["shares", "logits"])
    found = {title for title, layer in told.items() if layer.sqnr_db is not None}
    assert found >= FOUND
    assert all(told[title].sqnr_db > 100 and told[title].relative < 1e-5 for title in found)
    assert report.trace.worst is None
    assert told["first_norm"].note == "folded into 'first'"
    assert told["inner/norm"].note == told["inner/norm, call 2"].note == "folded into 'inner/conv'"
    assert all(layer.note for layer in told.values() if layer.sqnr_db is None)
    assert told["first_relu"].kind == "ReLU"
    assert report.trace.data == "random inputs, 3 rows"
    assert report.to_dict()["verification"]["trace"] == report.trace.to_dict()
    assert json.loads(report.to_json())["verification"]["trace"]["layers"][-1]["tensors"]
    again = verify(model, tmp_path / name, trace=True).trace
    assert [(a.title, a.tensors, a.note) for a in again.layers] == [(t, a.tensors, a.note) for t, a in told.items()]


def without_fold():
    return image_net(NORMS["BatchNormalization"])


@pytest.mark.parametrize(("export", "name"), EXPORTS)
def test_what_the_converter_merges_is_said_to_be_fused(export, name, tmp_path):
    told = by_title(export(without_fold(), tmp_path / name, fold=False, trace=True).trace)
    assert told["relu_1"].sqnr_db > 100
    assert told["conv_1"].note in ("fused into 'norm_1'", "fused into 'relu_1'")
    assert told["conv_1"].tensors == ()


def recurrent():
    x = inputs = keras.Input((10, 6), name="x")
    x = layers.Bidirectional(layers.GRU(8, return_sequences=True), name="both")(x)
    x, h, _ = layers.LSTM(8, return_sequences=True, return_state=True, name="lstm")(
        layers.LayerNormalization(name="norm")(x)
    )
    x = layers.TimeDistributed(layers.Dense(4, activation="tanh"), name="each")(x)
    return randomize(keras.Model(inputs, [layers.Dense(1, name="one")(layers.Flatten(name="flat")(x)), h]))


@pytest.mark.parametrize(("export", "name"), EXPORTS)
def test_recurrent_layers(export, name, tmp_path):
    trace = export(recurrent(), tmp_path / name, batch_size=1, trace=True).trace
    told = by_title(trace)
    assert list(told) == ["both", "norm", "lstm", "each", "flat", "one"]
    assert all(layer.sqnr_db > 100 for layer in trace.layers), str(trace)
    assert len(told["lstm"].tensors) > 1, "a tensor for each result"


class Block(layers.Layer):
    """A custom layer with two layers inside, whose names other blocks use too."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.norm = layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm")

    def call(self, x):
        return keras.ops.square(keras.ops.relu(self.norm(self.conv(x))))


@pytest.mark.parametrize(("export", "name"), EXPORTS)
def test_layers_in_custom_layers_have_their_paths(export, name, tmp_path):
    model = keras.Sequential([keras.Input((12, 12, 3)), Block(name="one"), Block(name="two"), layers.Flatten()])
    told = by_title(export(randomize(model), tmp_path / name, trace=True).trace)
    assert list(told)[:6] == ["one/conv", "one/norm", "one", "two/conv", "two/norm", "two"]
    assert told["one"].sqnr_db > 100
    assert told["two"].sqnr_db > 100
    assert told["two/norm"].note == "folded into 'two/conv'"


def test_the_inputs_are_yours_or_the_calibration_data(images, tmp_path):
    model, path = image_net(NORMS["GroupNormalization"]), tmp_path / "m.onnx"
    calibrated = to_onnx(model, path, quantize="int8", calibration=images, trace=True).trace
    assert calibrated.data == "the calibration data, 16 rows"
    yours = to_onnx(model, path, quantize="int8", calibration=images, inputs=images[:5], trace=True).trace
    assert yours.data == "your inputs, 5 rows"
    assert yours.layers != calibrated.layers
    assert "your inputs, 5 rows, in ONNX Runtime, not optimized" in str(yours)


def test_a_model_without_layers_is_written_and_the_report_says_why_there_is_no_trace(tmp_path):
    class Program(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 5), name="x")])
        def serve(self, x):
            return {"y": tf.math.tanh(x)}

    program = Program()
    tf.saved_model.save(program, tmp_path / "saved", signatures={"serve": program.serve})
    report = to_onnx(str(tmp_path / "saved"), tmp_path / "m.onnx", trace=True)
    assert (tmp_path / "m.onnx").is_file()
    told = "No layer of m.onnx was traced: the model is a signature of a SavedModel, which has no layers"
    assert str(report.trace) == told
    assert report.trace.layers == ()


def test_without_being_asked_nothing_is_traced(tmp_path):
    report = to_onnx(image_net(NORMS["GroupNormalization"]), tmp_path / "m.onnx")
    assert report.trace is None
    assert report.to_dict()["verification"]["trace"] is None
