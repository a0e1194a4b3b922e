"""What rounding alone does to a model: its response to a step of inputs and weights, while the model stays as it is."""

import keras
import numpy as np
import pytest
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.relative_error import scale
from keras_norms.export.model.test_inputs import Probe
from keras_norms.export.verification.metrics import distance
from keras_norms.export.verification.reference import reference
from keras_norms.export.verification.tolerance import limits_of

L = keras.layers
TOLERANCE = 1e-4


def network():
    """Group norms amplify what is left of a constant image; by rounding alone, the more the deeper."""
    keras.utils.set_random_seed(0)
    x = image = keras.Input((24, 24, 3), batch_size=1, name="image")
    for _ in range(6):
        x = L.Conv2D(16, 3, padding="same", use_bias=False)(x)
        x = L.ReLU()(L.GroupNormalization(8, beta_initializer="random_normal")(x))
    return keras.Model(image, L.Conv2D(2, 1)(x))


def limit(model, x, name="zeros"):
    facts = ModelFacts.of(model, 1)
    probe = Probe(name, [x], "")
    expected = reference(facts, probe)
    (found,), reason = limits_of(facts, probe, expected, [scale(expected.outputs[0])], TOLERANCE)
    return expected, found, reason


def test_zeros_are_judged_by_how_the_weights_round():
    model, before = network(), [w.tobytes() for w in network().get_weights()]
    expected, found, reason = limit(model, np.zeros((1, 24, 24, 3), "float32"))
    shift = distance(expected.outputs[0], expected.moved[0], scale(expected.outputs[0]))[1]
    assert 1e-7 < shift < 1e-4, "the step of a zero input alone is 1e-45"
    assert reason is None
    assert TOLERANCE <= found < 100 * TOLERANCE
    assert [w.tobytes() for w in model.get_weights()] == before


def test_an_ordinary_model_is_held_to_the_tolerance():
    inputs = keras.Input((8,), batch_size=1)
    model = keras.Model(inputs, L.Dense(4)(L.Dense(16, activation="relu")(inputs)))
    assert limit(model, np.ones((1, 8), "float32"), "random")[1:] == (TOLERANCE, None)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_left_alone(dtype):
    inputs = keras.Input((8,), batch_size=1)
    model = keras.Model(inputs, L.Dense(4, dtype=dtype, bias_initializer="ones")(inputs))
    expected, _, _ = limit(model, np.zeros((1, 8), "float32"))
    np.testing.assert_array_equal(expected.moved[0], expected.outputs[0])
