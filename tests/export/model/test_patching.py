"""Another `call` for some layers, for a while."""

import keras
import numpy as np
import pytest
from keras_norms.export.model.patching import patched_calls

L = keras.layers
X = np.ones((1, 2), "float32")


def doubled(layer):
    before = layer.call
    return lambda x: 2.0 * before(x)


def value(layer):
    return float(keras.ops.convert_to_numpy(layer(X))[0, 0])


def test_a_call_is_another_within_the_block_and_the_same_after_it():
    layer = L.Identity()
    value(layer)
    attributes = dict(vars(layer))
    with patched_calls([layer], doubled) as changed:
        assert value(layer) == 2.0
        assert changed == [layer]
    assert value(layer) == 1.0
    assert vars(layer) == attributes


def test_layers_without_a_replacement_are_left_alone():
    one, other = L.Identity(), L.Identity()
    with patched_calls([one, other], lambda layer: doubled(layer) if layer is other else None) as changed:
        assert (value(one), value(other)) == (1.0, 2.0)
        assert "call" not in vars(one)
        assert changed == [other]


def test_blocks_nest_and_each_wraps_what_it_found():
    layer = L.Identity()
    with patched_calls([layer], doubled):
        with patched_calls([layer], doubled):
            assert value(layer) == 4.0
        assert value(layer) == 2.0
    assert value(layer) == 1.0


def test_a_layer_that_is_listed_twice_is_restored():
    layer = L.Identity()
    with patched_calls([layer, layer], doubled):
        assert value(layer) == 4.0
    assert "call" not in vars(layer)


def test_a_call_of_the_layers_own_comes_back():
    layer = L.Identity()
    layer.call = own = lambda x: 3.0 * x
    with patched_calls([layer], doubled):
        assert value(layer) == 6.0
    assert vars(layer)["call"] is own


def test_an_error_in_the_block_restores_every_layer():
    layers = [L.Identity(), L.Identity()]
    with pytest.raises(ZeroDivisionError), patched_calls(layers, doubled):
        1 / 0  # noqa: B018
    assert [value(layer) for layer in layers] == [1.0, 1.0]


def test_an_error_of_a_replacement_restores_those_before_it():
    one, other = L.Identity(), L.Identity()

    def fails(layer):
        return doubled(layer) if layer is one else [][0]

    with pytest.raises(IndexError), patched_calls([one, other], fails):
        raise AssertionError
    assert value(one) == 1.0


def test_a_model_does_not_track_what_was_put_in():
    model = keras.Sequential([keras.Input((2,)), L.Dense(2)])
    with patched_calls(model.layers, lambda layer: L.Dense(1)):
        assert len(model.weights) == 2
