"""Norms in the form for integers compute what their layers do, in floats."""

import keras
import numpy as np
import pytest
from keras_norms.export.lowerings import lowered
from models import randomize

import keras_norms

L = keras.layers

CASES = {
    "group": (keras_norms.GroupNormalization(4), (6, 5, 8)),
    "one group": (keras_norms.GroupNormalization(1), (6, 5, 8)),
    "one group, wide": (keras_norms.GroupNormalization(1), (4, 4, 160)),
    "groups, wide": (keras_norms.GroupNormalization(32), (4, 4, 160)),
    "instance": (keras_norms.InstanceNormalization(), (6, 5, 8)),
    "instance, channels first": (keras_norms.InstanceNormalization(axis=1), (8, 6, 5)),
    "group of a sequence": (keras_norms.GroupNormalization(2), (7, 8)),
    "group of volumes": (keras_norms.GroupNormalization(2), (3, 4, 5, 8)),
    "group of features": (keras_norms.GroupNormalization(2), (8,)),
    "group, neither gamma nor beta": (keras_norms.GroupNormalization(4, scale=False, center=False), (6, 5, 8)),
    "group, beta alone": (keras_norms.GroupNormalization(4, scale=False), (6, 5, 8)),
    "layer": (keras_norms.LayerNormalization(), (6, 5, 8)),
    "layer of a sequence": (keras_norms.LayerNormalization(epsilon=1e-6), (7, 8)),
    "layer over two axes": (keras_norms.LayerNormalization(axis=[1, 2]), (7, 8)),
    "layer, another axis": (L.LayerNormalization(axis=1), (7, 8)),
    "RMS": (L.RMSNormalization(), (7, 8)),
    "batch": (keras_norms.BatchNormalization(), (6, 5, 8)),
    "batch, channels first": (L.BatchNormalization(axis=1), (8, 6, 5)),
}


@pytest.mark.parametrize("case", CASES)
def test_it_computes_what_the_layer_does(case):
    layer, shape = CASES[case]
    model = randomize(keras.Sequential([keras.Input(shape), type(layer).from_config(layer.get_config())]))
    x = np.random.default_rng(0).normal(0.5, 2.0, (3, *shape)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    with lowered(model, form="integer"):
        found = keras.ops.convert_to_numpy(model(x, training=False))
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
