"""Dense layers of one number in TFLite: the converter fails at a second one behind them."""

import keras
import pytest
from keras_norms.export import to_tflite
from keras_norms.export.lowerings import lowering

L = keras.layers


@pytest.mark.runtime
@pytest.mark.parametrize(("shape", "use_bias"), [((3, 4, 1), True), ((4, 1), True), ((4, 1), False)])
def test_two_dense_layers_on_one_feature(shape, use_bias, tmp_path):
    x = keras.Input(shape, batch_size=1)
    y = L.Dense(6, activation="sigmoid")(L.Dense(2, use_bias=use_bias)(x))
    assert to_tflite(keras.Model(x, y), tmp_path / "m.tflite").verification.ok


def test_other_dense_layers_stay_as_they_are():
    layer = L.Dense(2)
    layer.build((None, 4, 3))
    assert lowering(layer)(layer) is None
    layer = L.Dense(2)
    layer.build((None, 4, 1))
    assert lowering(layer)(layer) is not None
    assert lowering(layer)(layer, channels_first=True) is None
