"""target="npu": norms and all else in integers, as LiteRT, TFLite Micro and Arm's compiler take it."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from keras_norms.export import ExportError, to_tflite
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from models import randomize

import keras_norms

L = keras.layers
NORMS = {
    "group": lambda: keras_norms.GroupNormalization(4),
    "instance": keras_norms.InstanceNormalization,
    "layer": keras_norms.LayerNormalization,
    "rms": L.RMSNormalization,
    "keras group": lambda: L.GroupNormalization(2),
}
MODES = {"int16x8": (np.int16, 45.0), "int8": (np.int8, 25.0)}


def images(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 12, 12, 3)).astype("float32")


def net(norm):
    keras.utils.set_random_seed(0)
    x = image = keras.Input((12, 12, 3))
    for filters in (8, 16):
        x = L.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = L.ReLU()(norm()(x))
    return randomize(keras.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x))))


@pytest.fixture(scope="module", params=[(norm, mode) for norm in NORMS for mode in MODES], ids="-".join)
def exported(request, tmp_path_factory):
    norm, mode = request.param
    model, path = net(NORMS[norm]), tmp_path_factory.mktemp("npu") / "m.tflite"
    report = to_tflite(model, path, quantize=mode, target="npu", batch_size=1, calibration=images(32))
    return model, path, mode, report


def run(interpreter_details, invoke, x):
    """Outputs of single examples, on the grids that the file states."""
    (scale, zero), dtype, (out_scale, out_zero) = interpreter_details
    limits = np.iinfo(dtype)
    steps = np.clip(np.round(x / scale) + zero, limits.min, limits.max).astype(dtype)
    return (np.concatenate([invoke(each[None]) for each in steps]).astype("float64") - out_zero) * out_scale


def in_litert(path, x):
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()

    def invoke(steps):
        interpreter.set_tensor(given["index"], steps)
        interpreter.invoke()
        return interpreter.get_tensor(made["index"]).copy()

    return run((given["quantization"], given["dtype"], made["quantization"]), invoke, x)


def ratio(found, right):
    return 10 * np.log10(np.sum(right**2) / np.sum((found - right) ** 2))


@pytest.mark.runtime
def test_everything_is_in_integers_and_right(exported):
    model, path, mode, report = exported
    graph = Graph(path.read_bytes())
    used = {int(i) for op in graph.ops for i in (*op.inputs, *op.outputs)}
    assert not [graph.name(i) for i in used if graph.is_float(i)]
    assert Interpreter(str(path)).get_input_details()[0]["dtype"] == MODES[mode][0]
    assert report.verification.ok
    x = images(24, seed=1)
    assert ratio(in_litert(path, x), np.asarray(model(x))) >= MODES[mode][1]


@pytest.mark.runtime
def test_tflite_micro_computes_the_same(exported):
    micro = pytest.importorskip("tflite_micro").runtime
    _, path, mode, _ = exported
    interpreter = micro.Interpreter.from_file(str(path))
    given, made = (
        (d["quantization_parameters"]["scales"][0], d["quantization_parameters"]["zero_points"][0], d["dtype"])
        for d in (interpreter.get_input_details(0), interpreter.get_output_details(0))
    )

    def invoke(steps):
        interpreter.set_input(steps, 0)
        interpreter.invoke()
        return interpreter.get_output(0).copy()

    x = images(8, seed=2)
    found = run((given[:2], given[2], made[:2]), invoke, x)
    assert ratio(found, in_litert(path, x)) >= {"int16x8": 58.0, "int8": 40.0}[mode]  # a step of 8 bits now and then


@pytest.mark.runtime
@pytest.mark.parametrize("chip", ["ethos-u55-128", "ethos-u85-256"])
def test_arms_compiler_leaves_nothing_to_the_processor(exported, chip, tmp_path):
    pytest.importorskip("ethosu.vela")
    command = [sys.executable, "-c", "from ethosu.vela.vela import main; main()", exported[1], "--output-dir", tmp_path]
    said = subprocess.run([*command, "--accelerator-config", chip], capture_output=True, text=True, check=True).stdout
    assert re.search(r"CPU operators = 0 ", said), said


def gated():
    x = keras.Input((12, 12, 3))
    y = L.Conv2D(4, 3, padding="same")(x)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))
    return keras.Model(x, L.Flatten()(L.Concatenate()([L.Multiply()([y, gate]), L.MaxPooling2D(3, 1, "same")(y)])))


def beside_a_sigmoid():
    """A sigmoid has a grid that its kernel is written for, and what it is joined with another one."""
    x = keras.Input((12, 12, 3))
    y = L.Conv2D(4, 3, activation="sigmoid")(x)
    return keras.Model(x, L.Dense(2)(L.Flatten()(L.Concatenate()([y, L.Conv2D(4, 3)(x)]))))


def attending():
    x = keras.Input((12, 36))
    y = keras_norms.LayerNormalization()(L.Add()([L.MultiHeadAttention(2, 4)(x, x), x]))
    return keras.Model(x, keras_norms.LayerNormalization()(L.Add()([y, L.Dense(36, activation="gelu")(y)])))


def multiplied():
    """A product of two computed matrices, which the converter may write as a dense layer without a kernel."""
    x = keras.Input((12, 36))
    return keras.Model(x, L.Dot(axes=(2, 2))([L.Dense(8)(x), L.Dense(8)(x)]))


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (gated, "int16x8"),
        (beside_a_sigmoid, "int16x8"),
        (beside_a_sigmoid, "int8"),
        (attending, "int8"),
        (attending, "int16x8"),
        (multiplied, "int8"),
    ],
)
def test_other_layers_between(make, mode, tmp_path):
    model, x = randomize(make()), images(24).reshape(24, *make().input_shape[1:])
    path = tmp_path / "m.tflite"
    to_tflite(model, path, quantize=mode, target="npu", batch_size=1, calibration=x)
    least = MODES["int8" if make is attending else mode][1]  # no NPU has a product of matrices in 16 bits
    assert ratio(in_litert(path, x), np.asarray(model(x))) >= least
    interpreter = Interpreter(str(path))
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert {end["dtype"] for end in ends} == {MODES[mode][0]}


@pytest.mark.runtime
def test_what_has_no_form_in_integers_is_named(tmp_path):
    x = keras.Input((12, 12, 3))
    y = L.Activation("softplus", name="act")(L.Conv2D(4, 3)(x))
    model = keras.Model(x, L.Dense(2)(L.Flatten()(y)))
    with pytest.raises(ExportError, match="computes in integers alone, and .*'act'.* Leave target out"):
        to_tflite(model, tmp_path / "m.tflite", quantize="int16x8", target="npu", batch_size=1, calibration=images(4))
    assert not list(tmp_path.iterdir())


@pytest.mark.runtime
def test_what_no_npu_has_in_16_bits_has_8_and_is_named(tmp_path):
    x = keras.Input((12, 12, 3))
    y = L.Activation("gelu", name="act")(L.Conv2D(4, 3, name="before")(x))
    model, path = randomize(keras.Model(x, L.Dense(2)(L.Flatten()(y)))), tmp_path / "m.tflite"
    report = to_tflite(model, path, quantize="int16x8", target="npu", batch_size=1, calibration=images(24))
    assert any("in 8 bits" in warning and "'act'" in warning for warning in report.warnings)
    assert report.ops["GELU"] == 1
    assert ratio(in_litert(path, images(24)), np.asarray(model(images(24)))) >= 25
    assert {end["dtype"] for end in Interpreter(str(path)).get_input_details()} == {np.int16}


@pytest.mark.runtime
def test_a_pool_behind_a_norm_clips_nothing(tmp_path):
    """A pool's output and input share a grid: it has to hold the input, of which the mean is far smaller."""
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 12, 3))
    y = L.ReLU()(keras_norms.GroupNormalization(2)(L.Conv2D(8, 3, use_bias=False)(x)))
    model = keras.Model(x, L.Dense(3)(L.Flatten()(L.AveragePooling2D(10)(y))))
    path = tmp_path / "m.tflite"
    to_tflite(model, path, quantize="int8", target="npu", batch_size=1, calibration=images(32))
    assert ratio(in_litert(path, images(16)), np.asarray(model(images(16)))) >= 30


@pytest.mark.runtime
def test_8_bits_outside_and_16_within(tmp_path):
    model, path, x = net(NORMS["group"]), tmp_path / "m.tflite", images(24, seed=1)
    options = {"quantize": "int16x8", "target": "npu", "batch_size": 1, "calibration": images(32)}
    to_tflite(model, path, io_dtype="int8", **options)
    interpreter = Interpreter(str(path))
    ends = interpreter.get_input_details() + interpreter.get_output_details()
    assert {end["dtype"] for end in ends} == {np.int8}
    assert ratio(in_litert(path, x), np.asarray(model(x))) >= 28


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"quantize": None, "batch_size": 1}, "goes with quantize='int16x8' or 'int8'"),
        ({"quantize": "int16x8"}, "give batch_size=1"),
        ({"quantize": "int8", "batch_size": 1, "io_dtype": "float32"}, "not of io_dtype='float32'"),
    ],
)
def test_options_that_do_not_go_with_it(options, said, tmp_path):
    calibration = images(4) if options["quantize"] else None
    with pytest.raises(ExportError, match=said):
        to_tflite(net(NORMS["rms"]), tmp_path / "m.tflite", target="npu", calibration=calibration, **options)
