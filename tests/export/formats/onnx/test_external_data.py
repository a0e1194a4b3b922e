"""Large weights lie beside the .onnx file."""

import keras
import pytest
from keras_norms.export import ExportError, VerificationError, to_onnx, verify
from keras_norms.export.formats.onnx import onnx_format as target
from models import NORMS, image_net, randomize
from onnx_files import chain, counted

pytestmark = pytest.mark.runtime

L = keras.layers


@pytest.fixture
def ended(monkeypatch):
    """One entry for each time that the converter's process was to be ended, which costs the next export 5 seconds."""
    times = []
    monkeypatch.setattr(target, "stop_child", lambda: times.append("ended"))
    return times


@pytest.fixture
def beside(monkeypatch, tmp_path, ended):
    monkeypatch.setattr(target, "DATA_ABOVE", 1_000)
    return tmp_path / "model.onnx"


def test_large_weights_lie_beside_the_file(beside, tmp_path, ended):
    model = image_net(NORMS["GroupNormalization"], channels=16)
    report = to_onnx(model, beside)
    assert ended == ["ended"], "verifying needs the memory that the converter holds"
    data = tmp_path / "model.onnx.data"
    assert sorted(tmp_path.iterdir()) == [beside, data]
    assert data.stat().st_size > 1_000
    assert report.size_bytes == beside.stat().st_size + data.stat().st_size
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved, kept = elsewhere / beside.name, data.read_bytes()
    beside.replace(moved)
    with pytest.raises(ExportError, match=r"keeps its weights in 'model.onnx.data', which is not beside it. Move both"):
        verify(model, moved)
    data.replace(elsewhere / data.name)
    assert verify(model, moved).ok
    (elsewhere / data.name).write_bytes(kept[:8] + bytes([kept[8] ^ 1]) + kept[9:])
    with pytest.raises(
        VerificationError, match=r"model.onnx.data' is not the file that 'model.onnx' was verified with"
    ):
        verify(model, moved)


def test_recurrent_and_dense_weights_may_lie_beside_the_file(beside, tmp_path):
    model = chain((5, 4), L.LSTM(8), L.Dense(64, activation="gelu"), L.Dense(4))
    assert to_onnx(model, beside).verification.relative < 2e-5
    assert counted(beside)["LSTM"] == 1
    with pytest.raises(ExportError, match="quantize"):
        to_onnx(model, tmp_path / "q.onnx", quantize="dynamic")


def test_a_failed_export_leaves_the_old_pair(beside, tmp_path, monkeypatch):
    model = image_net(NORMS["GroupNormalization"], channels=16)
    to_onnx(model, beside)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(target.runtime, "runners", lambda path: (_ for _ in ()).throw(ExportError("stop here")))
    with pytest.raises(ExportError, match="stop here"):
        to_onnx(randomize(model, seed=1), beside)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_weights_of_a_third_of_one_file_bypass_the_converter_and_stay_in_the_file(monkeypatch, tmp_path):
    model = image_net(NORMS["GroupNormalization"], channels=16)
    whole = to_onnx(model, tmp_path / "whole.onnx")
    monkeypatch.setattr(target, "DATA_ABOVE", 8 * model.count_params())
    report = to_onnx(model, tmp_path / "past.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["past.onnx", "whole.onnx"]
    assert report.ops == whole.ops
    assert report.verification.relative < 2e-5
