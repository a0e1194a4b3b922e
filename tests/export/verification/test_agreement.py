"""How many integers the runtimes of a file give otherwise, and by how many steps."""

import numpy as np
import pytest
from keras_norms.export.model.spec import Spec
from keras_norms.export.verification.agreement import Agreement
from keras_norms.export.verification.interface import Artifact


class Runner:
    inputs = (Spec("x", (None, 2), "float32"),)
    outputs = ("b", "a")

    def __init__(self, steps):
        self.output_steps = steps


def watched(steps, runs):
    names = ("one", "two", "three")
    artifact = Artifact("m.tflite", {name: Runner(steps) for name in names}, {"x": "x"}, {"a": "a", "b": "b"})
    agreement = Agreement(artifact)
    given = [dict(zip(names, run, strict=True)) for run in runs]
    assert list(agreement.watched(given)) == given
    return agreement.found("one")


def outputs(a, b):
    return [np.array(a, "float32"), np.array(b, "float32")]


def test_steps_are_counted_by_output_over_all_inputs():
    runs = [
        (outputs([0.5, 1.0], [10.0]), outputs([0.5, 1.0], [10.0]), outputs([1.0, 1.0], [10.0])),
        (outputs([0.0, 0.0], [0.0]), outputs([0.0, 0.0], [0.0]), outputs([0.0, -1.5], [6.0])),
    ]
    same, apart = watched({"a": 0.5, "b": 2.0}, runs)
    assert (same.other, same.numbers, same.count, same.steps) == ("two", 6, 0, 0)
    assert (apart.other, apart.numbers, apart.count, apart.steps) == ("three", 6, 3, 3)
    assert str(same) == "two gives the same 6 integers as one"
    assert str(apart) == "of 6 integers that one gives, three gives 3 otherwise, by at most 3 steps"


@pytest.mark.parametrize("steps", [{"a": 0.0, "b": 0.0}, {"a": 0.5, "b": 0.0}, {}])
def test_floats_are_not_counted(steps):
    assert watched(steps, [(outputs([0.5], [1.0]), outputs([0.5], [1.0]), outputs([1.0], [1.0]))]) == ()
