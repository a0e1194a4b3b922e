"""Recurrent layers, attention, GELU and matrix products are the operators that ONNX has for them."""

import keras
import numpy as np
import onnx
import pytest
from keras_norms.export import to_onnx
from models import randomize
from onnx_files import chain, counted, run_as_written

import keras_norms

pytestmark = pytest.mark.runtime

L = keras.layers


@pytest.mark.parametrize("batch", [None, 1, 2])
def test_recurrent_layers_are_operators_at_any_batch(batch, tmp_path):
    model = chain((3, 4), L.LSTM(8, return_sequences=True), L.Bidirectional(L.LSTM(3)))
    to_onnx(model, tmp_path / "m.onnx", batch_size=batch)
    found = counted(tmp_path / "m.onnx")
    assert found["LSTM"] == 2, "two directions are one operator"
    assert not {"Loop", "Shape", "Expand"} & set(found)


@pytest.mark.parametrize("batch", [None, 1, 2])
@pytest.mark.parametrize("options", [{}, {"reset_after": False}, {"use_bias": False}], ids=str)
def test_a_gru_is_one_operator_too(options, batch, tmp_path):
    gru = lambda units, **more: L.GRU(units, **options, **more)  # noqa: E731
    model = chain((3, 4), gru(8, return_sequences=True), L.Bidirectional(gru(3)))
    to_onnx(model, tmp_path / "m.onnx", batch_size=batch)
    found = counted(tmp_path / "m.onnx")
    assert found["GRU"] == 3
    assert "Loop" not in found


def test_a_gru_gives_its_state_and_takes_one(tmp_path):
    x, first = keras.Input((3, 4), name="x"), keras.Input((6,), name="first")
    y, last = L.GRU(6, return_sequences=True, return_state=True, activation="relu")(x, initial_state=first)
    to_onnx(randomize(keras.Model([x, first], [y, last])), tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["GRU"] == 1


@pytest.mark.parametrize("options", [{"recurrent_activation": "hard_sigmoid"}, {"activation": "elu"}], ids=str)
def test_a_gru_that_the_operator_is_not_stays_a_loop(options, tmp_path):
    to_onnx(chain((3, 4), L.GRU(3, **options)), tmp_path / "m.onnx")
    assert "GRU" not in counted(tmp_path / "m.onnx")


def test_attention_is_four_products_and_no_regrouping(tmp_path):
    x = keras.Input((6, 8), name="x")
    model = randomize(keras.Model(x, L.MultiHeadAttention(2, 4, name="attention")(x, x)))
    to_onnx(model, tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx") == {"MatMul": 6, "Add": 4, "Reshape": 4, "Transpose": 4, "Softmax": 1}


def test_masked_text_of_any_length_has_lean_masks_and_lookups(tmp_path):
    ids = keras.Input((None,), dtype="int32", name="x")
    x = L.Embedding(7, 8, mask_zero=True)(ids)
    x = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4, name="attention")(x, x)]))
    model = randomize(keras.Model(ids, L.Dense(3, name="y")(L.GlobalAveragePooling1D()(x))))
    to_onnx(model, tmp_path / "m.onnx")
    found = counted(tmp_path / "m.onnx")
    assert found["Gather"] == 1, "an index below 0 needs no arithmetic"
    assert found["Where"] == 2, "one for the scores, one for the mean"
    assert not {"Einsum", "Expand", "Less", "Shape"} & set(found)
    x = np.array([[3, 1, 4, 0, 0], [6, 5, 0, 0, 0]], "int32")
    expected = keras.ops.convert_to_numpy(model(x))
    np.testing.assert_allclose(run_as_written(onnx.load(tmp_path / "m.onnx"), x)["y"], expected, atol=1e-5)


class Choice(L.Layer):
    def call(self, x):
        ops = keras.ops
        return ops.where(x > 0, ops.log(x), ops.where(x < -1, ops.isnan(x), x > -0.5))


def test_a_choice_takes_nothing_of_what_was_not_chosen(tmp_path):
    to_onnx(chain((4,), Choice(name="y")), tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["Where"] == 1, "and booleans, which the runtime cannot choose, by arithmetic"
    x = np.array([[-3, -0.75, -0.25, 2]], "float32")
    y = run_as_written(onnx.load(tmp_path / "m.onnx"), x)["y"]
    np.testing.assert_allclose(y, [[0, 0, 1, np.log(2)]], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_discretization_counts_boundaries(dtype, tmp_path):
    x = keras.Input((4,), dtype=dtype, name="x")
    to_onnx(keras.Model(x, L.Discretization([-1.5, 0.0, 2.0], name="y")(x)), tmp_path / "m.onnx")
    given = np.array([[-2, 0, 1, 2]], dtype)
    assert run_as_written(onnx.load(tmp_path / "m.onnx"), given)["y"].tolist() == [[0, 2, 2, 3]]


def test_exact_gelu_is_one_operator_where_there_is_one(tmp_path):
    model = chain((6,), L.Dense(5, activation="gelu"))
    to_onnx(model, tmp_path / "m.onnx", opset=20)
    assert counted(tmp_path / "m.onnx") == {"MatMul": 1, "Add": 1, "Gelu": 1}
    to_onnx(model, tmp_path / "m.onnx", opset=19)
    assert counted(tmp_path / "m.onnx") == {"MatMul": 1, "Add": 2, "Div": 1, "Erf": 1, "Mul": 2}


def test_one_tensor_may_be_two_outputs_and_an_input_too(tmp_path):
    x = keras.Input((4, 4, 3), name="x")
    y = L.Conv2D(2, 3, padding="same", name="y")(x)
    model = randomize(keras.Model(x, [y, y, L.Identity(name="same")(x), L.ReLU(name="z")(y)]))
    report = to_onnx(model, tmp_path / "m.onnx")
    assert list(report.verification.outputs) == ["y", "y_1", "same", "z"]


def test_a_free_batch_of_images_resized_by_a_ratio_that_rounds_down(tmp_path):
    """5 / 3 in float32, times 3, is less than 5: the file has sizes then, which every level must keep."""
    inputs = keras.Input((3, 3, 2))
    model = keras.Model(inputs, keras.layers.Resizing(5, 4)(inputs))
    assert to_onnx(model, tmp_path / "m.onnx").verification.ok


@pytest.mark.parametrize("batch_size", [1, None])
def test_constants_behind_a_dense_layer_that_is_used_twice(batch_size, tmp_path):
    """They stay where they are, and tf2onnx takes them for the one factor of its matrix product."""
    x = keras.Input((8,))
    y = keras.layers.Dense(8, use_bias=False)(x)
    norms = keras_norms.BatchNormalization(), keras_norms.BatchRenormalization()
    model = randomize(keras.Model(x, keras.layers.Maximum()([*(norm(y) for norm in norms), y])))
    report = to_onnx(model, tmp_path / "m.onnx", batch_size=batch_size)
    assert report.verification.relative < 2e-6
    assert report.ops.get("Gemm", 0) + report.ops.get("MatMul", 0) == 1
