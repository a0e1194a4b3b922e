"""Transposed convolutions of every padding, where the sizes are free or lost on the way, at all ranks."""

from itertools import product

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras_norms.export import to_onnx
from models import randomize
from onnx_files import counted, run_as_written

pytestmark = pytest.mark.runtime

L = keras.layers
SIZES = {1: (7,), 2: (6, 5), 3: (3, 4, 5)}
ROWS = [
    {"kernel_size": size, "strides": strides, "padding": padding, "output_padding": added}
    for size, strides, padding, added in product((1, 2, 3), (1, 2, 3), ("same", "valid"), (None, 1))
    # TensorFlow runs no odd number of rows less where the steps are of 1
    if (added is None or added < strides) and not (added and size == 2 and padding == "same" and strides == 3)
]


@pytest.mark.parametrize("rank", SIZES)
@pytest.mark.parametrize("free", [True, False], ids=["free", "behind a dense layer"])
def test_rows_are_cut_and_added_where_keras_does_it(rank, free, tmp_path):
    x = keras.Input((*([None] * rank if free else SIZES[rank]), 2), name="x")
    transposed = getattr(L, f"Conv{rank}DTranspose")
    dense = L.Dense(3)(x)  # of a free batch: TensorFlow loses the sizes in it
    outputs = {f"y{i:02}": transposed(2, **row, use_bias=i % 2 == 0)(dense) for i, row in enumerate(ROWS)}
    model = randomize(keras.Model(x, outputs))
    to_onnx(model, tmp_path / "m.onnx")
    found = counted(tmp_path / "m.onnx")
    assert found["ConvTranspose"] == len(ROWS)
    assert not {"Slice", "Pad", "Shape"} & set(found)
    image = np.random.default_rng(0).normal(size=(2, *SIZES[rank], 2)).astype("float32")
    got = run_as_written(onnx.load(tmp_path / "m.onnx"), image)
    for name, expected in model(image).items():
        np.testing.assert_allclose(got[name], expected, atol=1e-5, err_msg=str(ROWS[int(name[1:])]))


class OfTensorFlow(L.Layer):
    def call(self, x):
        kernel = np.random.default_rng(0).normal(size=(2, 4, 3, 2)).astype("float32")
        return tf.nn.conv2d_transpose(x, kernel, (tf.shape(x)[0], 6, 5, 3), 1, "SAME")


def test_a_call_of_tensorflow_itself_that_says_the_size_of_its_result(tmp_path):
    x = keras.Input((6, 5, 2), name="x")
    to_onnx(randomize(keras.Model(x, OfTensorFlow(name="y")(L.Dense(2)(x)))), tmp_path / "m.onnx")
    assert counted(tmp_path / "m.onnx")["ConvTranspose"] == 1
