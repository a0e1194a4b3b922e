"""A model that is called again and again answers as it does when it is called once."""

import keras
import numpy as np
import pytest
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.repeated_calls import RepeatedCalls


class Counting(keras.layers.Layer):
    """Hands on what it takes, and counts its calls in Python."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.calls = 0

    def call(self, x):
        self.calls += 1
        return x


class TimesCalls(Counting):
    def call(self, x):
        return super().call(x) * float(self.calls)


class NeedsNumbers(Counting):
    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)

    def call(self, x):
        return super().call(x) * (2.0 if float(keras.ops.max(x)) > 0 else 3.0)


def network(extra, depth=6):
    x = inputs = keras.Input((12, 12, 3))
    for _ in range(depth):
        x = keras.layers.Conv2D(8, 3, padding="same")(x)
        x = keras.layers.BatchNormalization()(x)
        x = keras.layers.Activation("relu6")(x)
    x = extra(x)
    return keras.Model(inputs, keras.layers.Dense(5)(keras.layers.GlobalAveragePooling2D()(x)))


def calls_of(model):
    return RepeatedCalls(model, ModelFacts.of(model).declared)


def draw(batch, seed, first=None):
    x = np.random.default_rng(seed).normal(size=(batch, 12, 12, 3)).astype("float32")
    if first is not None:
        x.flat[0] = first
    return x


INPUTS = [draw(1, 0), draw(1, 1), draw(3, 2), draw(3, 3, np.inf), draw(1, 4), draw(3, 5, np.nan), 1e4 * draw(1, 6)]


@pytest.fixture(scope="module")
def tensorflow_only():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("traces on TensorFlow only")


@pytest.mark.usefixtures("tensorflow_only")
def test_every_answer_has_the_bits_of_the_models_own():
    counting = Counting()
    model = network(counting)
    calls = calls_of(model)
    expected = [model(x, training=False).numpy() for x in INPUTS]
    counting.calls = 0
    for x, y in zip(INPUTS, expected, strict=True):
        (found,) = calls([x])
        assert found.tobytes() == y.tobytes()
    assert counting.calls == 3  # once for each shape, and once while it was traced


@pytest.mark.usefixtures("tensorflow_only")
def test_a_small_model_is_always_called_itself():
    counting = Counting()
    model = network(counting, depth=1)
    calls, counting.calls = calls_of(model), 0
    for x in INPUTS:
        calls([x])
    assert counting.calls == len(INPUTS)


@pytest.mark.usefixtures("tensorflow_only")
@pytest.mark.parametrize("over_time", [keras.layers.GRU(4), keras.layers.TimeDistributed(keras.layers.Dense(4))])
def test_a_small_model_over_time_is_traced(over_time):
    counting = Counting()
    inputs = keras.Input((5, 3))
    model = keras.Model(inputs, over_time(counting(inputs)))
    calls, counting.calls = calls_of(model), 0
    for seed in range(6):
        x = np.random.default_rng(seed).normal(size=(2, 5, 3)).astype("float32")
        assert calls([x])[0].tobytes() == model(x, training=False).numpy().tobytes()
    assert counting.calls == 2 + 6


@pytest.mark.usefixtures("tensorflow_only")
@pytest.mark.parametrize("kind", [TimesCalls, NeedsNumbers])
def test_a_model_that_its_graph_is_not_is_called_itself(kind):
    layer = kind()
    model = network(layer)
    calls, layer.calls = calls_of(model), 0
    found = [calls([x])[0] for x in INPUTS]
    before = layer.calls
    assert before >= len(INPUTS)
    (again,) = calls([INPUTS[0]])
    assert layer.calls == before + 1
    if kind is TimesCalls:
        np.testing.assert_allclose(again - model.layers[-1].bias, found[0] * layer.calls, rtol=1e-4)


def test_what_is_kept_is_not_computed_again():
    counting = Counting()
    model = network(counting, depth=1)
    calls = calls_of(model)
    kept, counting.calls = calls.keep([INPUTS[0]]), 0
    assert calls([INPUTS[0].copy()])[0] is kept[0]
    assert counting.calls == 0
    calls([INPUTS[1]])
    assert counting.calls == 1


@pytest.mark.usefixtures("tensorflow_only")
def test_the_graph_optimizer_is_as_it_was():
    import tensorflow as tf

    switch = "disable_meta_optimizer"
    calls = calls_of(network(Counting()))
    tf.config.optimizer.set_experimental_options({switch: False})
    for x in INPUTS:
        calls([x])
    assert not tf.config.optimizer.get_experimental_options()[switch]
