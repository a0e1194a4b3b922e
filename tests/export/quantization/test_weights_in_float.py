"""Every layer whose weights stay in float is named with the reason, and a file that grew is warned of."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.formats.onnx.onnx_format import FORMAT as ONNX
from keras_norms.export.formats.tflite.convert.size_in_floats import size_in_floats
from keras_norms.export.formats.tflite.tflite_format import FORMAT as TFLITE
from keras_norms.export.model.layer_names import layers_in
from keras_norms.export.quantization.larger import larger_note
from keras_norms.export.report.unquantized import Unquantized, in_words, once_a_layer
from models import randomize

pytestmark = pytest.mark.runtime
L = keras.layers


def volumes():
    x = keras.Input((6, 6, 6, 4))
    y = L.Conv3D(12, 3, name="volumes")(x)
    return randomize(keras.Model(x, L.Dense(3, name="few")(L.GlobalAveragePooling3D()(y))))


def test_what_has_no_kernel_in_eight_bits_is_named(tmp_path):
    report = to_tflite(volumes(), tmp_path / "m.tflite", quantize="dynamic", batch_size=1)
    assert [(one.layer, one.numbers) for one in report.in_float] == [("volumes", 27 * 4 * 12), ("few", 36)]
    volumes_, few = (one.reason for one in report.in_float)
    assert "no kernel of CONV_3D with 8-bit weights" in volumes_
    assert "fewer than 1,024 numbers" in few
    assert f"nothing was quantized: 'volumes' ({volumes_}); 'few' ({few})" in report.warnings
    assert f"weights in float: 'volumes' ({volumes_}); 'few' ({few})" in str(report)
    assert report.to_dict()["in_float"][0]["layer"] == "volumes"


def test_batched_weights_are_named_and_a_larger_file_is_warned_of(tmp_path):
    x = keras.Input((10, 8))
    y = L.Dense(4)(L.EinsumDense("abc,bcd->abd", output_shape=(10, 16), name="several")(x))
    model = randomize(keras.Model(x, y))
    report = to_onnx(model, tmp_path / "m.onnx", quantize="dynamic", batch_size=1)
    (one,) = report.in_float
    assert (one.layer, one.reason) == (
        "several",
        "ONNX Runtime's dynamic product takes one matrix, not several at once",
    )
    plain = to_onnx(model, tmp_path / "float.onnx", batch_size=1).size_bytes
    (warning,) = [warning for warning in report.warnings if "makes the file larger" in warning]
    assert report.size_bytes > plain
    assert "Leave quantize out" in warning


@pytest.mark.parametrize("mode", ["int8", "int16x8"])
def test_recurrent_layers_have_weights_of_eight_bits(mode, tmp_path):
    x = keras.Input((8, 6))
    y = L.GRU(24, return_sequences=True, name="large")(L.Conv1D(24, 3, padding="same", activation="relu")(x))
    model = randomize(keras.Model(x, L.Dense(3)(L.GRU(4, name="small")(y))))
    data = np.random.default_rng(0).normal(size=(24, 8, 6)).astype("float32")
    options = {"quantize": mode, "calibration": data, "batch_size": 1}
    report = to_tflite(model, tmp_path / "m.tflite", **options)
    (one,) = report.in_float
    assert one.layer.startswith("small/")
    assert "fewer than 1,024 numbers" in one.reason
    assert min(output.sqnr_db for output in report.verification.outputs.values()) > 35
    assert TFLITE.quantized_as(report.path) == mode


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_tables_of_embeddings(dtype, tmp_path):
    """Ids of floats are never rounded; the table has 16 bits in int16x8, 8 in ONNX files."""
    x = keras.Input((6,), name="ids", dtype=dtype)
    model = randomize(keras.Model(x, L.Dense(5)(L.GlobalAveragePooling1D()(L.Embedding(3000, 16)(x)))))
    ids = np.random.default_rng(0).integers(0, 3000, (24, 6)).astype(dtype)
    report = to_tflite(model, tmp_path / "m.tflite", quantize="int16x8", calibration=ids, batch_size=1)
    (output,) = report.verification.outputs.values()
    assert output.sqnr_db > 45
    assert 2 * 3000 * 16 < report.size_bytes < 3 * 3000 * 16
    report = to_onnx(model, tmp_path / "m.onnx", quantize="dynamic", batch_size=1, inputs=ids)
    (output,) = report.verification.outputs.values()
    assert output.sqnr_db > 35
    assert report.size_bytes < 2 * 3000 * 16
    assert "'embedding" not in in_words(report.in_float)
    assert not [one for one in ONNX.unquantized(report.path, "dynamic", {"embedding"}) if one.operation == "Gather"]


def test_entries_of_one_layer_are_one():
    found = [Unquantized("a", "GRU", 3, "x"), Unquantized("b", "GRU", 4, "x"), Unquantized("a", "GRU", 5, "x")]
    merged = once_a_layer(found)
    assert [(one.layer, one.numbers) for one in merged] == [("a", 8), ("b", 4)]
    assert in_words(merged) == "'a', 'b' (x)"
    many = [Unquantized(f"n{i}", "MUL", 1, "y") for i in range(10)]
    assert in_words(many).endswith("'n7' and 2 more (y)")
    assert layers_in("net_1/attention_1/query_1/MatMul", {"attention", "query"}) == "attention/query"


def test_a_file_that_did_not_grow_is_not_warned_of(tmp_path):
    assert larger_note(100, 100, "int8") == ()
    assert larger_note(101, None, "int8") == ()
    assert "101 bytes, in float32 100" in larger_note(101, 100, "float16")[0]
    half = to_tflite(volumes(), tmp_path / "m.tflite", quantize="float16", batch_size=1)
    plain = to_tflite(volumes(), tmp_path / "float.tflite", batch_size=1)
    assert abs(size_in_floats(half.path.read_bytes()) - plain.size_bytes) < 400
