"""Names with '/': exported files have them as the old file has, though Keras 3 takes '_' in their place."""

import numpy as np
import pytest
from keras_norms.export import load, to_onnx, to_tflite, verify
from keras_norms.export.model.signature import signature

tk = pytest.importorskip("tf_keras")
pytestmark = pytest.mark.filterwarnings("ignore")
L = tk.layers


def written(path):
    a, b = tk.Input((6, 6, 3), name="in/a"), tk.Input((6, 6, 3), name="in/b")
    y = L.BatchNormalization(name="block/bn")(L.Conv2D(4, 3, name="block/conv")(L.Add()([a, b])))
    tk.Model([a, b], [L.Flatten(name="out/x")(y), L.GlobalAveragePooling2D(name="out_x")(y)]).save(path)
    return path


def test_the_signature_has_the_names_of_the_file(tmp_path):
    model = load(written(tmp_path / "m.h5"), prove=False).model
    found = signature(model)
    assert [spec.name for spec in found.inputs] == ["in/a", "in/b"]
    assert found.outputs == ("out/x", "out_x")
    assert [layer.name for layer in model.layers][-2:] == ["out_x_", "out_x"]
    tk.Sequential([L.Dense(3, name="a/b", input_shape=(2,))]).save(tmp_path / "s.h5")
    found = signature(load(tmp_path / "s.h5", prove=False).model)
    assert ([spec.name for spec in found.inputs], found.outputs) == (["a/b_input"], ("a/b",))


@pytest.mark.runtime
@pytest.mark.parametrize("export", [to_tflite, to_onnx])
def test_exported_files_have_the_names_of_the_old_file(export, tmp_path):
    path = written(tmp_path / "m.h5")
    model = load(path, prove=False).model
    out = tmp_path / f"m.{export.__name__.removeprefix('to_')}"
    given = {name: np.ones((2, 6, 6, 3), "float32") for name in ("in/a", "in/b")}
    report = export(model, out, inputs=given)
    assert list(report.verification.outputs) == ["out/x", "out_x"]
    assert len(report.fold.folded) == 1
    assert verify(model, out).ok
