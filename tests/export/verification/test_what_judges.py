"""Which runtimes decide, which only advise, and that a tolerance that is given is the law."""

import keras
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from keras_norms.export import ExportError, VerificationError, to_onnx, to_tflite, verify
from keras_norms.export.verification.reference import Reference

pytestmark = pytest.mark.runtime
L = keras.layers


def images(layer):
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 6, 2), name="x")
    return keras.Model(x, layer(x))


def test_a_tolerance_that_no_float32_file_reaches_is_the_law(tmp_path):
    model = images(L.Conv2D(3, 3, activation="gelu", name="y"))
    with pytest.raises(VerificationError, match="1e-12 is allowed"):
        to_onnx(model, tmp_path / "m.onnx", tolerance=1e-12)
    assert not list(tmp_path.iterdir())


def test_an_evaluator_that_nobody_ships_advises_and_does_not_veto(tmp_path):
    """ONNX's reference evaluator gives another shape for an even window of stride 1 with padding."""
    report = to_onnx(images(L.MaxPooling2D(2, strides=1, padding="same", name="y")), tmp_path / "m.onnx").verification
    assert report.ok
    assert all("ONNX's reference evaluator" not in check.runtime for check in report.checks)
    (line,) = report.advice
    assert "ONNX's reference evaluator" in line
    assert line in str(report)


def test_a_static_shape_that_no_app_can_run_is_refused(tmp_path):
    path, model = tmp_path / "m.tflite", images(L.Conv2D(3, 3, name="y"))
    to_tflite(model, path)
    file = flatbuffer_utils.read_model(str(path))
    graph = file.subgraphs[0]
    graph.tensors[graph.inputs[0]].shape = np.array([1, 255, 6, 2], "int32")
    flatbuffer_utils.write_model(file, str(path))
    with pytest.raises(ExportError, match=r"allocates its input 'x' as \[1, 255, 6, 2\].*takes \[-1, 6, 6, 2\]"):
        verify(model, path)


def test_a_dense_layer_on_a_free_batch_computes_no_shapes(tmp_path):
    """XNNPACK has given wrong numbers behind shapes that are computed at run time."""
    ops = to_tflite(images(L.Dense(3, name="y")), tmp_path / "m.tflite").ops
    assert not {"SHAPE", "GATHER", "REDUCE_PROD", "PACK"} & set(ops)


def test_the_first_sample_can_be_left_out_whatever_the_shape():
    judged = [np.ones((3, 2), bool), np.ones((), bool)]
    rows, number = Reference([np.zeros((3, 2)), np.zeros(())], [], judged).other_samples().judged
    assert rows.tolist() == [[False, False], [True, True], [True, True]]
    assert not number
    assert judged[0].all()
