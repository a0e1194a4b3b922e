"""Which inputs a quantized file is tried on."""

from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.quantization.modes import MODES
from keras_norms.export.verification.cases import cases_to_try


@pytest.mark.parametrize(
    ("mode", "left_out"),
    [(None, set()), ("int8", {"one infinity"}), ("float16", {"one infinity", "steps"})],
)
def test_a_quantized_file_is_not_tried_on_what_its_numbers_do_not_hold(mode, left_out):
    x = keras.Input((4,), name="x")
    facts = ModelFacts.of(keras.Model(x, keras.layers.Dense(2, name="y")(x)))
    runner = SimpleNamespace(inputs=facts.declared.inputs, outputs=("y",))
    everything = {case.name for case in cases_to_try(facts, {"LiteRT": runner}, Path("m.tflite"))}
    tried = cases_to_try(facts, {"LiteRT": runner}, Path("m.tflite"), mode=mode and MODES[mode])
    assert everything - {case.name for case in tried} == left_out
