"""A file imports the operator sets that it uses, and no other."""

import keras
import numpy as np
import onnx
import pytest
from keras_norms.export import to_onnx
from keras_norms.export.formats.onnx.convert.operator_sets import import_what_is_used

L = keras.layers


@pytest.mark.runtime
@pytest.mark.parametrize("quantize", [None, "float16", "dynamic", "int8"])
def test_a_file_imports_onnx_alone(quantize, tmp_path):
    x = keras.Input((8, 8, 3))
    y = L.GroupNormalization(2)(L.Conv2D(4, 3)(x))
    model = keras.Model(x, L.Dense(4, activation="gelu")(L.Flatten()(y)))
    images = np.random.default_rng(0).normal(size=(8, 8, 8, 3)).astype("float32")
    to_onnx(model, tmp_path / "m.onnx", quantize=quantize, calibration=images if quantize == "int8" else None)
    assert [entry.domain for entry in onnx.load(tmp_path / "m.onnx").opset_import] == [""]


def test_sets_that_a_branch_or_a_function_uses_stay():
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 18, "com.microsoft" : 1, "ai.onnx.ml" : 2, "own" : 1, "spare" : 1]>
        main (float[2] x, bool b) => (float[2] y) {
            z = own.Twice (x)
            y = If (b) <then_branch = then () => (float[2] v) { v = com.microsoft.Gelu (z) },
                        else_branch = other () => (float[2] w) { w = Relu (z) }>
        }
        <domain: "own", opset_import: ["" : 18]>
        Twice (x) => (y) { y = Add (x, x) }
    """)
    import_what_is_used(model)
    assert [entry.domain for entry in model.opset_import] == ["", "com.microsoft", "own"]
