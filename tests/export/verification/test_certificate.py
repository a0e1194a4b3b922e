"""The certificate beside an artifact: the same bytes every time, and nothing that was changed afterwards passes it."""

import hashlib
import json
import re

import keras
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from exports import EXPORTS
from keras_norms.export import ExportError, VerificationError, to_onnx, to_tflite, verify
from keras_norms.export.model.signature import signature
from keras_norms.export.model.test_inputs import probes
from models import NORMS, image_net, randomize

onnx = pytest.importorskip("onnx")
pytestmark = [pytest.mark.runtime, pytest.mark.usefixtures("read_here")]

SUFFIXES = pytest.mark.parametrize("suffix", EXPORTS)


@pytest.fixture(scope="module")
def net():
    return image_net(NORMS["GroupNormalization"])


@pytest.fixture(scope="module")
def certified(net, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certified")
    for suffix, export in EXPORTS.items():
        export(net, folder / f"net{suffix}", certificate=True)
    return folder


def copy(folder, suffix, to):
    for name in (f"net{suffix}", f"net{suffix}.json"):
        (to / name).write_bytes((folder / name).read_bytes())
    return to / f"net{suffix}"


@SUFFIXES
def test_it_tells_all_that_was_done_and_measured(suffix, net, certified):
    path = certified / f"net{suffix}"
    data = json.loads((certified / f"net{suffix}.json").read_text())
    assert data["artifact"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert data["artifact"]["size_bytes"] == path.stat().st_size
    assert data["versions"]["keras"] == keras.__version__
    assert data["fold"]["model"] == "image_net"
    assert data["artifact"]["ops"]
    assert data["options"]["fold"] is True
    runtimes = {check["runtime"] for check in data["checks"]}
    assert runtimes >= {"LiteRT, XNNPACK", "LiteRT, builtin kernels"} if suffix == ".tflite" else len(runtimes) > 1
    assert {check["output"] for check in data["checks"]} == {"logits"}
    assert all(check["relative"] <= check["allowed"] for check in data["checks"])


def test_the_inputs_can_be_drawn_again(net, certified):
    record = json.loads((certified / "net.tflite.json").read_text())["inputs"]
    assert [probe.name for probe in probes(net, signature(net))] == [entry["case"] for entry in record]
    (offset,) = (entry for entry in record if entry["case"] == "offset")
    drawn = (100 + np.random.default_rng(offset["seed"]).normal(size=offset["shapes"]["image"])).astype("float32")
    head = f"float32 {offset['shapes']['image']} ".encode()
    assert hashlib.sha256(head + drawn.tobytes()).hexdigest() == offset["sha256"]["image"]


@SUFFIXES
def test_the_same_model_gives_the_same_bytes(suffix, net, certified, tmp_path):
    EXPORTS[suffix](net, tmp_path / f"net{suffix}", certificate=True)
    for name in (f"net{suffix}", f"net{suffix}.json"):
        assert (tmp_path / name).read_bytes() == (certified / name).read_bytes()


@SUFFIXES
def test_it_holds_for_the_model_and_for_its_file(suffix, net, certified, tmp_path):
    net.save(tmp_path / "net.keras")
    for model in (net, tmp_path / "net.keras"):
        report = verify(model, certified / f"net{suffix}")
        assert report.ok
        assert report.certificate.ok
        assert report.certificate.compared == len(report.checks)
        assert report.certificate.notes == ()
        assert "its certificate holds" in str(report)


def change_weight(path, by):
    """Move one number of the last weights, those of the dense layer."""
    if path.suffix == ".onnx":
        model = onnx.load(path)
        tensor = next(t for t in model.graph.initializer if sorted(t.dims) == [4, 8])
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.flat[5] += by
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, path)
        return
    model = flatbuffer_utils.read_model(str(path))
    tensor = next(t for t in model.subgraphs[0].tensors if list(t.shape) == [4, 8])
    data = np.frombuffer(bytes(model.buffers[tensor.buffer].data), "float32").copy()
    data[5] += by
    model.buffers[tensor.buffer].data = np.frombuffer(data.tobytes(), "uint8")
    flatbuffer_utils.write_model(model, str(path))


@SUFFIXES
def test_a_change_too_small_to_see_in_the_outputs_is_seen_by_the_hash(suffix, net, certified, tmp_path):
    path = copy(certified, suffix, tmp_path)
    change_weight(path, 1e-6)
    report = verify(net, path)
    assert report.reproduces
    assert not report.ok
    assert "is not the file that was certified" in report.failure()


@SUFFIXES
def test_a_change_that_shows_is_named_with_its_layer(suffix, net, certified, tmp_path):
    path = copy(certified, suffix, tmp_path)
    change_weight(path, 0.1)
    report = verify(net, path)
    assert not report.reproduces
    assert report.first_divergence == "logits"
    assert any("was off by" in text and "now by" in text for text in report.certificate.differences)


def test_another_models_weights_are_told_from_another_architecture(net, certified):
    other = image_net(NORMS["GroupNormalization"])
    randomize(other, seed=3)
    assert any(
        "weights are not those" in text for text in verify(other, certified / "net.onnx").certificate.differences
    )
    other.set_weights(net.get_weights())
    assert verify(other, certified / "net.onnx").ok
    other.get_layer("norm_1").epsilon = 1.1e-3
    report = verify(other, certified / "net.onnx", tolerance=0.5)
    assert report.reproduces
    assert any("configuration is not the one" in text for text in report.certificate.differences)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["checks"][0].update(relative=0.5), "on random, batch 1 input .* was off by 5.00e-01 .* now"),
        (lambda data: data["artifact"].update(sha256="0"), "is not the file that was certified"),
        (lambda data: data["model"].update(weights_sha256="0"), "weights are not those"),
        (lambda data: [tried.update(sha256={}) for tried in data["inputs"]], "none of its figures was measured again"),
    ],
)
def test_a_changed_certificate_does_not_hold(change, message, net, certified, tmp_path):
    path = copy(certified, ".onnx", tmp_path)
    data = json.loads((tmp_path / "net.onnx.json").read_text())
    change(data)
    (tmp_path / "net.onnx.json").write_text(json.dumps(data))
    report = verify(net, path)
    assert not report.ok
    assert re.search(message, report.failure())


def test_versions_that_have_changed_since_are_noted(net, certified, tmp_path):
    path = copy(certified, ".onnx", tmp_path)
    data = json.loads((tmp_path / "net.onnx.json").read_text())
    data["versions"]["onnxruntime"] = "0.1"
    (tmp_path / "net.onnx.json").write_text(json.dumps(data))
    report = verify(net, path)
    assert report.ok
    assert "onnxruntime 0.1 then" in report.certificate.notes[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind": "another"}', '{"kind": "keras-norms certificate"}'])
def test_what_is_no_certificate_is_refused(text, net, certified, tmp_path):
    path = copy(certified, ".onnx", tmp_path)
    (tmp_path / "net.onnx.json").write_text(text)
    with pytest.raises(ExportError, match=r"net.onnx.json' .*Move it away"):
        verify(net, path)


def test_calibration_data_is_certified_by_its_hash_and_measured_again_when_given_again(tmp_path):
    x = keras.Input((6,), name="x")
    model = randomize(keras.Model(x, keras.layers.Dense(4, name="y")(keras.layers.Dense(64)(x))))
    data = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
    to_tflite(model, tmp_path / "m.tflite", quantize="int8", calibration=data, certificate=True)
    (stored,) = json.loads((tmp_path / "m.tflite.json").read_text())["options"]["calibration"]
    assert stored["shape"] == [32, 6]
    again = verify(model, tmp_path / "m.tflite", inputs=data)
    assert again.certificate.ok
    assert again.certificate.compared == len(again.checks)
    without = verify(model, tmp_path / "m.tflite")
    assert without.certificate.ok
    assert "not measured again: given" in without.certificate.notes[0]


@SUFFIXES
def test_nothing_is_left_when_the_export_fails(suffix, net, tmp_path):
    with pytest.raises(VerificationError):
        EXPORTS[suffix](net, tmp_path / f"net{suffix}", quantize="float16", certificate=True, tolerance=1e-5)
    assert list(tmp_path.iterdir()) == []


def test_an_old_certificate_is_warned_of(net, certified, tmp_path):
    path = copy(certified, ".onnx", tmp_path)
    assert "the certificate of the file that was there before" in to_onnx(net, path, opset=17).warnings[0]
    assert not verify(net, path).ok


def test_a_file_that_is_no_certificate_is_not_written_over(net, tmp_path):
    (tmp_path / "net.onnx.json").write_text('{"my": "notes"}')
    with pytest.raises(ExportError, match=r"net.onnx.json' .*Move it away"):
        to_onnx(net, tmp_path / "net.onnx", certificate=True)
    assert (tmp_path / "net.onnx.json").read_text() == '{"my": "notes"}'
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx.json"]
