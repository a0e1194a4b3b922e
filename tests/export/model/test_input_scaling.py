"""What a model does to its inputs first is taken back, so that its layers get what was drawn for them."""

import keras
import numpy as np
import pytest
from keras_norms.export.model.input_scaling import scalings
from keras_norms.export.model.signature import signature
from keras_norms.export.model.test_inputs import probes

L = keras.layers


def rescaled(x):
    return L.Rescaling(2.0, offset=-1.0, name="centred")(L.Rescaling(1 / 255.0, name="pixels")(x))


def normalized(x):
    return L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 9.0, 16.0], name="adapted")(x)


def nested(x):
    y = keras.Input((4, 4, 3))
    return keras.Model(y, L.Conv2D(2, 1)(rescaled(y)), name="inner")(x)


def plain(x):
    return L.Conv2D(2, 1)(x)


def also_taken_as_it_is(x):
    return L.Concatenate()([rescaled(x), x])


@pytest.mark.parametrize(
    ("head", "layers"),
    [(rescaled, ["pixels", "centred"]), (normalized, ["adapted"]), (nested, ["pixels", "centred"]), (plain, []),
     (also_taken_as_it_is, [])],
)  # fmt: skip
def test_the_layers_that_scale_an_input_are_found(head, layers):
    x = keras.Input((4, 4, 3), name="image")
    model = keras.Model(x, head(x))
    found = scalings(model, signature(model))
    assert [layer.name for scaling in found.values() for layer in scaling.layers] == layers


@pytest.mark.parametrize("head", [rescaled, normalized])
def test_the_layers_behind_get_what_was_drawn(head):
    x = keras.Input((4, 4, 3), name="image")
    model = keras.Model(x, head(x))
    random = probes(model, signature(model))[0]
    drawn = np.random.default_rng(random.seed).normal(size=(1, 4, 4, 3))
    np.testing.assert_allclose(np.asarray(model(random.arrays[0])), drawn, rtol=1e-4, atol=1e-5)
    assert "should give it" in random.formula


def test_ids_that_come_as_floats_are_whole_numbers_within_the_vocabulary():
    ids = keras.Input((5,), name="ids")
    other = keras.Input((2,), name="other")
    pooled = L.GlobalAveragePooling1D()(L.Embedding(7, 4)(ids))
    model = keras.Model([ids, other], L.Dense(2)(L.Concatenate()([pooled, other])))
    for probe in probes(model, signature(model)):
        looked_up, number = probe.arrays
        assert set(looked_up.ravel()) <= set(range(7))
        assert np.isinf(number).any() == (probe.name == "one infinity")
