"""While a child process converts, the model runs on what its artifact will be tried on."""

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.precision import in_float32
from keras_norms.export.model.repeated_calls import RepeatedCalls
from keras_norms.export.model.test_inputs import probes
from keras_norms.export.pipeline.ahead import answers
from keras_norms.export.verification.reference import reference


class Counting(keras.layers.Layer):
    def __init__(self, fails_above=np.inf, seconds=0, **arguments):
        super().__init__(**arguments)
        self.calls, self.fails_above, self.seconds = 0, fails_above, seconds

    def call(self, x):
        self.calls += 1
        time.sleep(self.seconds)
        if self.calls > self.fails_above:
            raise RuntimeError("no more")
        return x


@pytest.fixture(autouse=True)
def _tensorflow_only():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("on TensorFlow only")


def prepared(counting):
    facts = ModelFacts.of(keras.Sequential([keras.Input((6,)), keras.layers.Dense(4), counting]))
    facts = replace(facts, calls=RepeatedCalls(facts.model, facts.declared))
    counting.calls = 0
    return SimpleNamespace(facts=facts, given=[])


def all_said():
    """The thread has come to its end."""
    for thread in threading.enumerate():
        if thread.name == "keras-norms-answers":
            thread.join()


def test_verification_finds_the_answers():
    counting = Counting()
    ready = prepared(counting)
    with answers(ready, SimpleNamespace(mode=None)):
        all_said()
    facts, before = ready.facts, counting.calls
    tried = probes(facts.model, facts.signature)
    assert before == len(tried) + 2  # one of them asks three times
    plain = replace(facts, calls=None)
    with in_float32(facts.model):
        found = [reference(facts, probe).outputs for probe in tried]
        assert counting.calls == before
        for probe, outputs in zip(tried, found, strict=True):
            np.testing.assert_array_equal(outputs, reference(plain, probe).outputs)


def test_it_ends_with_the_block_and_its_failures_are_left_to_verification():
    slow = Counting(seconds=0.2)
    with answers(prepared(slow), SimpleNamespace(mode=None)):
        while not slow.calls:
            time.sleep(0.05)
    assert slow.calls < 4
    assert "keras-norms-answers" not in {thread.name for thread in threading.enumerate()}
    ready = prepared(Counting(fails_above=2))
    with pytest.raises(KeyboardInterrupt), answers(ready, SimpleNamespace(mode=None)):
        raise KeyboardInterrupt
    assert "keras-norms-answers" not in {thread.name for thread in threading.enumerate()}


def test_a_quantized_artifact_is_not_tried_on_an_infinity():
    counting = Counting()
    ready = prepared(counting)
    with answers(ready, SimpleNamespace(mode="dynamic")):
        all_said()
    assert counting.calls == len(probes(ready.facts.model, ready.facts.signature)) - 1
