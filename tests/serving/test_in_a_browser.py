"""ONNX files in onnxruntime-web in a real browser: the numbers are those of Keras.

Skipped where there is no Chromium or no onnxruntime-web: `npm install onnxruntime-web` in the repository.
"""

import browser
import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx
from models import randomize

import keras_norms

pytestmark = [
    pytest.mark.runtime,
    pytest.mark.skipif(browser.browser() is None, reason="there is no Chromium to run"),
    pytest.mark.skipif(browser.library() is None, reason="onnxruntime-web is not there: npm install onnxruntime-web"),
]
L = keras.layers
# Decibels of the outputs beside Keras' own: the same as in ONNX Runtime, which the file was verified in.
FLOOR = {None: 90, "float16": 55, "dynamic": 25, "int8": 25, "auto": 25}


def network():
    image, ids = keras.Input((16, 16, 3), name="image"), keras.Input((5,), dtype="int32", name="ids")
    x = image
    for norm in (
        keras_norms.GroupNormalization(4),
        keras_norms.BatchRenormalization(),
        keras_norms.LayerNormalization(),
    ):
        x = L.ReLU()(norm(L.Conv2D(16, 3, padding="same", use_bias=False)(x)))
    y = L.RMSNormalization()(L.Embedding(20, 16)(ids))
    y = L.MultiHeadAttention(2, 8)(y, y)
    both = L.Concatenate()([L.GlobalAveragePooling2D()(x), L.GlobalAveragePooling1D()(y)])
    return randomize(keras.Model([image, ids], L.Dense(4, name="scores")(both)))


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(24, 16, 16, 3)).astype("float32"), "ids": rng.integers(0, 20, (24, 5), "int32")}


@pytest.mark.parametrize(("mode", "layout"), [*((mode, "keras") for mode in FLOOR), (None, "nchw")])
def test_the_browser_computes_what_keras_does(mode, layout, model, data, tmp_path):
    options = {"calibration": data} if mode in ("int8", "auto") else {}
    options |= {"min_db": 30} if mode == "auto" else {}
    to_onnx(model, tmp_path / "m.onnx", quantize=mode, layout=layout, **options)
    given = {name: x[:3] for name, x in data.items()}
    expected = np.asarray(model(given), np.float64)
    if layout == "nchw":
        given["image"] = given["image"].transpose(0, 3, 1, 2).copy()
    outputs, by = browser.run_in_browser(tmp_path / "m.onnx", given)
    noise = np.square(outputs["scores"] - expected).mean()
    assert 10 * np.log10(np.square(expected).mean() / noise) > FLOOR[mode], by


def test_an_error_of_the_page_is_told(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(RuntimeError, match="(?i)protobuf|model|parse"):
        browser.run_in_browser(tmp_path / "m.onnx", {})
