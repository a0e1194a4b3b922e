"""Repeating, as it is written into a TFLite file: the numbers of Keras, and shapes that layers behind it can use."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from keras_norms.export import to_tflite
from keras_norms.export.saved_model.portable_repeat import repeat
from models import randomize

L = keras.layers


def none(*_, **__):
    raise AssertionError("the original is not called")


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("free", [(), (0,), (0, 1), (2,), (0, 1, 2)])
def test_it_repeats_as_numpy_does(axis, free):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    shape = [None if i in free else n for i, n in enumerate(x.shape)]
    made = tf.function(lambda x: repeat(none)(x, 3, axis=axis), input_signature=[tf.TensorSpec(shape)])
    np.testing.assert_array_equal(made(x), np.repeat(x, 3, axis))
    known = [None if i in free else n for i, n in enumerate(np.repeat(x, 3, axis).shape)]
    assert made.get_concrete_function().outputs[0].shape.as_list() == known


@pytest.mark.parametrize("arguments", [(2, None), ([1, 2, 1], 1), (0, 1)])
def test_other_repeats_are_tensorflows(arguments):
    x = np.ones((2, 3), "float32")
    original = ops.repeat
    np.testing.assert_array_equal(repeat(original)(x, *arguments[:1], axis=arguments[1]), np.repeat(x, *arguments))


@pytest.mark.runtime
@pytest.mark.parametrize(
    "enlarge",
    [L.UpSampling2D(3, data_format="channels_first"), lambda x: ops.repeat(ops.repeat(x, 3, axis=-1), 2, axis=1)],
    ids=["upsampling, channels first", "repeat"],
)
def test_a_dilated_convolution_behind_it_is_written(enlarge, tmp_path):
    x = keras.Input((None, None, 3))
    model = keras.Model(x, L.SeparableConv2D(3, 3, padding="same", dilation_rate=2)(enlarge(x)))
    assert to_tflite(randomize(model), tmp_path / "m.tflite").verification.ok
