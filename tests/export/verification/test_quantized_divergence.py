"""A quantized file that is too noisy: the layer where its signal falls below what is asked is named, and the worst."""

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export import VerificationError, lowerings, to_onnx, to_tflite, verify
from keras_norms.export.quantization.budget import AUTO
from keras_norms.export.quantization.modes import MODES
from keras_norms.export.report.check import Check
from keras_norms.export.report.verify_report import VerifyReport
from keras_norms.export.verification.diagnosis.match_tensors import _first_wrong, _Ruler
from keras_norms.export.verification.recording import Call
from models import NORMS, image_net

import keras_norms

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.usefixtures("read_here")
CASES = [*((to_tflite, ".tflite", mode) for mode in MODES if mode != AUTO), (to_onnx, ".onnx", "int8")]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(size=(32, 12, 12, 3)).astype("float32")


@pytest.mark.runtime
@pytest.mark.parametrize(("export", "suffix", "mode"), CASES)
def test_the_layer_that_fails_in_an_export_is_named(export, suffix, mode, images, tmp_path, monkeypatch):
    def wrong(layer, channels_first):
        right = lowerings.group_norm.lower(layer, channels_first)
        return (lambda x: right(-x)) if layer.name == "norm_1" else right

    rows = tuple((k, wrong if k is keras_norms.GroupNormalization else lower) for k, lower in lowerings.LOWERINGS)
    monkeypatch.setattr(lowerings, "LOWERINGS", rows)
    given = images if MODES[mode].calibrated else None
    below = rf"at least {MODES[mode].floor_db:.0f} dB is asked. The first layer below that is 'norm_1' \(from \d+ to"
    with pytest.raises(VerificationError, match=below):
        export(
            image_net(NORMS["GroupNormalization"], channels=16),
            tmp_path / f"m{suffix}",
            quantize=mode,
            calibration=given,
        )
    assert not list(tmp_path.iterdir())


def negated(path, name):
    """The file with the signs of one convolution's whole numbers turned."""
    model = flatbuffer_utils.read_model(str(path))
    (tensor,) = [t for t in model.subgraphs[0].tensors if t.shape is not None and list(t.shape) == [16, 3, 3, 16]]
    data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), "int8")
    model.buffers[tensor.buffer].data = np.frombuffer((-data).tobytes(), "uint8")
    flatbuffer_utils.write_model(model, str(path.with_name(name)))
    return path.with_name(name)


@pytest.mark.runtime
@pytest.mark.parametrize(("norm", "mode"), [("BatchNormalization", "int8"), ("LayerNormalization", "dynamic")])
def test_the_layer_that_fails_in_a_given_file_is_named(norm, mode, images, tmp_path):
    model = image_net(NORMS[norm], channels=16)
    given, options = (images, {"io_dtype": "int8"}) if mode == "int8" else (None, {})
    to_tflite(model, tmp_path / "m.tflite", quantize=mode, calibration=given, **options)
    assert verify(model, tmp_path / "m.tflite", inputs=images).largest_loss is None
    report = verify(model, negated(tmp_path / "m.tflite", "broken.tflite"), inputs=images)
    assert not report.ok
    assert report.first_divergence == report.largest_loss.layer == "conv_1"
    assert report.largest_loss.before_db > 20 > report.largest_loss.after_db
    assert "The first layer below that is 'conv_1'" in report.failure()
    assert report.to_dict()["largest_loss"]["layer"] == "conv_1"


def test_noise_that_piles_up_is_told_from_the_layer_that_makes_most():
    """A chain of four layers: most noise comes with the second, and the fourth falls below the floor."""
    rng = np.random.default_rng(0)
    y = [rng.normal(size=(1, 6, 6, 8)) for _ in range(4)]
    noisy = [x + amount * rng.normal(size=x.shape) for x, amount in zip(y, (0.01, 0.2, 0.25, 0.4), strict=True)]
    calls = [Call(f"layer_{i}", False, [x], {i - 1} if i else set()) for i, x in enumerate(y)]
    first, loss = _first_wrong(calls, noisy, _Ruler(least=10.0, by_noise=True))
    assert (first, loss.layer) == ("layer_3", "layer_1")
    assert (round(loss.before_db), round(loss.after_db)) == (40, 14)
    check = Check("given", "LiteRT", "y", 1.0, 1.0, 1.0, 8.0, 1e-4, 10.0, False)
    report = VerifyReport("m.tflite", 1e-4, (check,), first_divergence=first, largest_loss=loss)
    told = "The first layer below that is 'layer_3'; 'layer_1' loses most (from 40 to 14 dB)."
    assert told in report.failure()
