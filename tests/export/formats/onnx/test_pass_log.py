"""The check and the log of passes reach the child process that converts."""

import keras
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.passes import PASSES
from keras_norms.export.worker.client import stop_child
from onnx_files import chain

pytestmark = pytest.mark.runtime
LAYOUTS = ("keras", "nchw")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """{layout: the lines of its log}, from one child process, as each start takes seconds."""
    folder, found = tmp_path_factory.mktemp("logs"), {}
    layers = keras.layers.Conv2D(4, 3), keras.layers.GroupNormalization(2), keras.layers.ReLU()
    model, log = chain((8, 8, 3), *layers), folder / "log"
    stop_child()  # the next one has the environment of now
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KERAS_NORMS_CHECK_PASSES", "1")
            patch.setenv("KERAS_NORMS_PASS_LOG", str(log))
            for layout in LAYOUTS:
                to_onnx(model, folder / "m.onnx", layout=layout)
                found[layout] = log.read_text().splitlines()
                log.unlink()
    finally:
        stop_child()
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_is_checked_and_logged_pass_by_pass(layout, logs):
    lines = logs[layout]
    assert [line.partition(":")[0] for line in lines if not line.startswith(" ")] == [row.name for row in PASSES]
