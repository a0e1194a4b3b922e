"""The check and the log of passes reach the child process that converts."""

import keras
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.passes import PASSES
from keras_norms.export.worker.client import stop_child
from onnx_files import chain

pytestmark = pytest.mark.runtime


@pytest.mark.parametrize("layout", ["keras", "nchw"])
def test_an_export_is_checked_and_logged_pass_by_pass(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_NORMS_CHECK_PASSES", "1")
    monkeypatch.setenv("KERAS_NORMS_PASS_LOG", str(tmp_path / "log"))
    layers = keras.layers.Conv2D(4, 3), keras.layers.GroupNormalization(2), keras.layers.ReLU()
    stop_child()  # the next one has the environment of now
    try:
        to_onnx(chain((8, 8, 3), *layers), tmp_path / "m.onnx", layout=layout)
    finally:
        stop_child()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [row.name for row in PASSES]
