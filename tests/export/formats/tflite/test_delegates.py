"""What delegates take of a file: XNNPACK asked itself, a GPU's rules, and half precision emulated."""

import functools
import json

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError, lint, to_onnx, to_tflite
from keras_norms.export.formats.tflite.delegates.half_precision import run_in_half
from keras_norms.export.model.layer_names import layer_of
from models import NORMS, image_net, randomize
from norm_mutants import export_unverified

import keras_norms

GROUP = NORMS["GroupNormalization"]
runtime = pytest.mark.runtime
pytestmark = pytest.mark.usefixtures("linted_here")


def norm_alone(norm, shape=(8, 8, 16)):
    x = keras.Input(shape, name="x")
    return randomize(keras.Model(x, norm(x), name="alone"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lint")
    net = image_net(GROUP)
    export_unverified(net, folder / "free.tflite")
    export_unverified(net, folder / "default.tflite", batch_size=1)
    to_tflite(net, folder / "gpu.tflite", batch_size=1, target="gpu")
    net.save(folder / "net.keras")
    return folder


def found(report, kind):
    return found_in(report.findings, kind)


def found_in(findings, kind):
    return [finding for finding in findings if finding.kind == kind]


@runtime
def test_a_clean_file_has_no_finding(files):
    report = lint(files / "gpu.tflite", model=files / "net.keras")
    assert report.ok, str(report)
    assert report.xnnpack.left == {}
    assert report.half["logits"] < 5e-3
    assert json.loads(report.to_json())["ok"] is True
    assert "give calibration data" in report.inputs


@runtime
def test_the_export_says_what_xnnpack_took(tmp_path):
    x = keras.Input((4, 4, 4, 2), name="x", batch_size=1)
    y = keras.layers.Conv3D(3, 2, name="volume")(x)
    y = keras.layers.Flatten()(y)
    report = to_tflite(randomize(keras.Model(x, keras.layers.Dense(2, name="y")(y))), tmp_path / "m.tflite")
    assert report.xnnpack.taken["FULLY_CONNECTED"] == 1
    assert report.xnnpack.left == {"CONV_3D": 1}
    assert report.xnnpack.left_layers == (("CONV_3D", "volume"),)
    assert sum(report.xnnpack.taken.values()) + 1 == sum(report.ops.values())
    assert "LiteRT's own kernels run CONV_3D (volume)" in str(report)
    linted = lint(tmp_path / "m.tflite")
    assert [f.op for f in found(linted, "unsupported operation")] == ["CONV_3D"]
    assert {f.layer for f in found(linted, "rank")} >= {"volume"}
    assert "rank 5" in found(linted, "rank")[0].reason


@runtime
def test_a_free_batch_is_a_dynamic_shape(files):
    (finding,) = found(lint(files / "free.tflite"), "dynamic shape")
    assert finding.layer == "image"
    assert "batch_size=1" in finding.remedy
    assert not found(lint(files / "default.tflite"), "dynamic shape")


@runtime
def test_free_sizes_need_more_than_a_batch(tmp_path):
    x = keras.Input((None, None, 3), name="x")
    model = keras.Model(x, keras.layers.GlobalAveragePooling2D()(x))
    to_tflite(model, tmp_path / "m.tflite")
    (finding,) = found(lint(tmp_path / "m.tflite"), "dynamic shape")
    assert finding.remedy == (
        "fix the batch: batch_size=1 (--batch-size 1); "
        "build the model with sizes: keras.Input((224, 224, 3)), not keras.Input((None, None, 3))"
    )


@runtime
def test_a_loop_and_an_index_are_named_with_what_helps(tmp_path):
    x = keras.Input((5, 4), name="x")
    y = keras.layers.LSTM(3, name="rolled")(x)
    z = keras.layers.LSTM(3, name="unrolled", unroll=True)(x)
    model = keras.Model(x, [y, z, keras.layers.Dense(3)(x)[:, 0], keras.layers.Conv1D(6, 2, groups=2)(x)])
    to_tflite(model, tmp_path / "m.tflite", batch_size=1)
    findings = lint(tmp_path / "m.tflite", model=model).findings
    assert ("WHILE", "rolled") in {
        (finding.op, finding.layer) for finding in found_in(findings, "unsupported operation")
    }
    assert "unrolled" not in {finding.layer for finding in findings}
    assert [finding.op for finding in found_in(findings, "wrong result")] == ["CONV_2D"]  # of groups of two channels
    (loop,) = (finding for finding in findings if finding.op == "WHILE")
    assert "unroll=True" in loop.remedy
    assert any("x[:, :1]" in finding.remedy for finding in findings)


@runtime
def test_what_stays_in_float_is_told_of_a_quantized_file_alone(tmp_path):
    images = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype("float32")
    model = image_net(GROUP)
    for mode in ("int8", "int16x8"):
        to_tflite(model, tmp_path / f"{mode}.tflite", quantize=mode, calibration=images, batch_size=1)
    eight, sixteen = (lint(tmp_path / f"{mode}.tflite", model=model) for mode in ("int8", "int16x8"))
    norms = {finding.layer: finding for finding in found(eight, "float operation") if "norm" in finding.layer}
    assert set(norms) == {"norm_0", "norm_1"}
    assert "Ethos-U" in norms["norm_0"].reason
    assert "target='npu'" in norms["norm_0"].remedy
    options = {"quantize": "int8", "calibration": images, "batch_size": 1}
    to_tflite(model, tmp_path / "npu.tflite", target="npu", **options)
    assert not found(lint(tmp_path / "npu.tflite", model=model), "float operation"), "the remedy helps"
    assert not found(eight, "type")
    (finding,) = found(sixteen, "type")
    assert "16-bit integers, in " in finding.reason
    assert "quantize='int8' or 'float16'" in finding.remedy


@runtime
def test_large_inputs_overflow_in_the_default_form_and_not_in_the_gpus(files):
    """Deviations above 256 have squares that a half cannot hold."""
    images = (1000 * np.random.default_rng(0).normal(size=(4, 12, 12, 3))).astype("float32")
    report = lint(files / "default.tflite", model=files / "net.keras", calibration=images)
    (finding,) = found(report, "float16 overflow")
    assert finding.layer == "norm_0", "the first layer, not those after it"
    assert "float16 ends at 65504" in finding.reason
    assert "target='gpu'" in finding.remedy
    assert not report.half["logits"] < 0.05
    gpu = lint(files / "gpu.tflite", model=files / "net.keras", calibration=images)
    assert gpu.ok, str(gpu)
    assert gpu.half["logits"] < 5e-3
    assert gpu.inputs == "1 of the inputs given"


HALF_NORMS = {
    "group": keras_norms.GroupNormalization(4, epsilon=1e-6),
    "keras group": keras.layers.GroupNormalization(4, epsilon=1e-5),
    "instance": keras_norms.InstanceNormalization(epsilon=1e-3),
    "layer": keras_norms.LayerNormalization(epsilon=1e-6),
    "keras layer": keras.layers.LayerNormalization(axis=(1, 2, 3), epsilon=1e-3),
    # With a smaller epsilon a constant of 1234 itself overflows a half.
    "keras layer, rms_scaling": keras.layers.LayerNormalization(rms_scaling=True, epsilon=0.1),
    "keras RMS": keras.layers.RMSNormalization(epsilon=1e-6),
}


@pytest.fixture(scope="module")
def in_half(tmp_path_factory):
    """Norm after norm, all in one model: (form, input) -> {norm: its output in single and in half precision}.

    Nothing judges the files: the tests compare what is in them with the model.
    """
    folder, x = tmp_path_factory.mktemp("half"), keras.Input((8, 8, 16), name="x")
    outputs = {name: layer.__class__.from_config(layer.get_config())(x) for name, layer in HALF_NORMS.items()}
    model = randomize(keras.Model(x, outputs, name="norms"))
    export_unverified(model, folder / "gpu.tflite", target="gpu", batch_size=1)
    export_unverified(model, folder / "default.tflite", batch_size=1)

    @functools.cache
    def run(form, factor):
        given = half_inputs(factor)
        found = run_in_half(folder / f"{form}.tflite", {"x": given})
        return {result.name: (result.single, result.half) for result in found}, model(given, training=False)

    return run


def half_inputs(factor):
    """Random numbers up to `factor`, or a constant if it is None."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(1, 8, 8, 16)).astype("float32")
    return np.full_like(x, 1234.0) if factor is None else factor * x


@runtime
@pytest.mark.parametrize("name", HALF_NORMS)
def test_every_norm_has_a_form_for_half_precision(name, in_half):
    """Inputs from 1e-3 to 30,000: each within a half's own resolution of the norm in single precision."""
    for scale in (1e-3, 1.0, 300.0, 30_000.0):
        found, expected = in_half("gpu", scale)
        (single, half), y = found[name], np.asarray(expected[name])
        np.testing.assert_allclose(single, y, atol=2e-5 * np.abs(y).max())
        assert np.abs(half - y).max() <= 6e-3 * np.abs(y).max(), scale
    _, half = in_half("default", 30_000.0)[0][name]
    assert not np.abs(half - y).max() <= 0.1 * np.abs(y).max(), "the default form is of no use here"
    _, half = in_half("gpu", None)[0][name]
    assert np.isfinite(half).all()


@runtime
def test_a_tiny_epsilon_and_tiny_inputs_are_named(tmp_path):
    model = norm_alone(keras.layers.GroupNormalization(4, epsilon=1e-7, name="small"))
    to_tflite(model, tmp_path / "m.tflite", batch_size=1)
    tiny = (3e-4 * np.random.default_rng(0).normal(size=(1, 8, 8, 16))).astype("float32")
    report = lint(tmp_path / "m.tflite", model=model, calibration=tiny)
    (constant,) = found(report, "float16 constant")
    assert constant.layer == "small"
    assert "1.0e-07" in constant.reason
    (vanishing,) = found(report, "float16 underflow")
    assert vanishing.layer == "small"
    to_tflite(model, tmp_path / "gpu.tflite", batch_size=1, target="gpu")
    assert lint(tmp_path / "gpu.tflite", model=model, calibration=tiny).ok


@runtime
def test_the_target_is_checked(tmp_path):
    model = norm_alone(keras_norms.InstanceNormalization())
    with pytest.raises(ExportError, match="target must be None, 'gpu', 'npu' or 'micro'; got 'tpu'"):
        to_tflite(model, tmp_path / "m.tflite", target="tpu")
    to_onnx(model, tmp_path / "m.onnx")
    with pytest.raises(ExportError, match=r"a matter of \.tflite files; got 'm.onnx'"):
        lint(tmp_path / "m.onnx")
    with pytest.raises(ExportError, match="There is no artifact"):
        lint(tmp_path / "none.tflite")


@pytest.mark.parametrize(
    ("name", "layers", "layer"),
    [
        ("net_1/norm_0_1/keras_norm/mul_1", {"norm_0", "net"}, "norm_0"),
        ("net_1/norm_0_1/keras_norm/mul_1", {"norm"}, "norm_0_1"),
        ("net/relu_1/Relu;net/norm_1/keras_norm/add", {"relu_1", "norm_1"}, "norm_1"),
        ("net_1/norm_0_1/keras_norm/mul_1", None, "norm_0"),
        ("logits", {"logits"}, "logits"),
        ("net_1/d_1/Tensordot/GatherV2;", {"d"}, "d"),
    ],
)
def test_layers_are_found_in_names(name, layers, layer):
    assert layer_of(name, layers) == layer
