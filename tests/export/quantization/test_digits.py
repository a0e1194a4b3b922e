"""A trained network with group norm still reads digits in 8 bits: at most one image in a hundred more is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from keras_norms.export import to_onnx, to_tflite
from keras_norms.export.demo import data, training
from keras_norms.export.formats import format_of

pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def trained():
    digits = data.load()
    return training.train("group norm", replace(training.RECIPES[0], epochs=2), digits).model, digits


def right(path, digits):
    runner = next(iter(format_of(path).runners(path).values()))
    name, output = runner.inputs[0].name, runner.outputs[0]
    logits = runner.run({name: digits.test_images})[output]
    return np.mean(np.argmax(logits, -1) == digits.test_labels)


@pytest.mark.parametrize(("suffix", "export"), [(".tflite", to_tflite), (".onnx", to_onnx)])
def test_accuracy_drops_by_at_most_one_point(suffix, export, trained, tmp_path):
    model, digits = trained
    before = np.mean(np.argmax(model.predict_on_batch(digits.test_images), -1) == digits.test_labels)
    assert before > 0.9
    export(model, tmp_path / f"m{suffix}", quantize="int8", calibration=digits.train_images[:64])
    assert right(tmp_path / f"m{suffix}", digits) >= before - 0.01
