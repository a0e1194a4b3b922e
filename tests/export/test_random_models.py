"""Random models, exported and judged without the package; `python benchmarks/random_exports.py` tries more of them.

A model that fails is shrunk, and the test prints the code of the smallest that fails in the same way.
"""

import shutil

import keras
import numpy as np
import pytest
from keras_norms.export import VerificationError, pipeline
from random_models import generate, random_recipe
from random_models import judge as judging
from random_models import shrink as shrinking
from random_models.judge import difference
from random_models.outcome import (
    CRASH,
    FALSELY_REFUSED,
    REFUSED,
    RIGHT,
    WRONG,
    built_from,
    for_format,
    kind_of,
    outcome,
)
from random_models.recipe import Entry, Recipe, Step
from random_models.shrink import shrink

pytestmark = pytest.mark.runtime

# Seeds of small models that have, together, nearly every kind of step and of activation.
LENGTH = 4
SEEDS = {
    "tflite": (
        20, 22, 28, 29, 38, 39, 45, 51, 55, 67, 75, 77, 79, 83, 85, 91, 98, 102, 105, 115, 127, 136, 142, 145,
        164, 177, 190, 212, 244, 257,
    ),
    "onnx": (
        14, 17, 19, 21, 23, 26, 33, 35, 48, 49, 68, 84, 94, 110, 112, 116, 120, 140, 144, 151, 158, 175, 192,
        218, 223, 227, 237, 241, 246, 249,
    ),
}  # fmt: skip
CASES = [(seed, name) for name, seeds in SEEDS.items() for seed in seeds]


@pytest.mark.parametrize(("seed", "format_name"), CASES)
def test_the_file_of_a_random_model_is_right(seed, format_name):
    recipe = for_format(random_recipe(seed, LENGTH), format_name)
    result = outcome(recipe, format_name)
    if result.outcome != RIGHT:
        smallest = shrink(recipe, lambda smaller: outcome(smaller, format_name).like(result), most=30)
        pytest.fail(f"{result.outcome}: {result.message} (judged: {result.judged})\n\n{smallest.script()}")


def recipe_of(*steps, outputs=("x1",)):
    return Recipe(0, (Entry("in0", (6,)),), steps, outputs)


DENSE = Step("x1", "layers.Dense", (("units", 3), ("activation", "relu")), ("in0",))


def test_a_seed_is_one_model():
    assert random_recipe(5) == random_recipe(5) != random_recipe(6)
    assert random_recipe(5).code() == random_recipe(5).code()


def test_what_is_printed_runs():
    recipe = random_recipe(3, LENGTH)
    scope = {}
    exec(recipe.script(), scope)
    for ours, theirs in zip(recipe.build().get_weights(), scope["model"].get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_layer_has_a_name_that_keras_gives_to_an_operation():
    keras.backend.clear_session()  # so that those names begin with "subtract", "subtract_1"
    sources = ("in0", "in0")
    operations = [Step(f"y{i}", "ops.subtract", (), sources) for i in range(3)]
    layer = Step("x2", "layers.Subtract", (), sources, listed=True)
    joined = Step("x3", "layers.Add", (), ("x2", "y0", "y1", "y2"), listed=True)
    assert len(recipe_of(*operations, layer, joined, outputs=("x3",)).build().operations) == 6


def test_a_model_of_rounding_alone_is_none():
    scaled = [
        Step(f"x{i}", "layers.Rescaling", (("scale", by),), (x,)) for i, by, x in ((1, 7.0, "in0"), (2, 1 / 7, "x1"))
    ]
    left = Step("x3", "layers.Subtract", (), ("x2", "in0"), listed=True)
    assert generate._runs(recipe_of(*scaled, outputs=("x2",)))
    assert not generate._runs(recipe_of(*scaled, left, outputs=("x3",)))


def test_where_there_is_no_float64_rounding_is_that_of_the_inputs(monkeypatch):
    def none(*_):
        raise TypeError

    monkeypatch.setattr(judging, "_in_float64", none)
    recipe = recipe_of(DENSE)
    expected = judging.Expected.of(recipe, recipe.build())
    off = max(np.abs(a - b).max() for a, b in zip(expected.single[0], expected.double[0], strict=True))
    assert 0 < off < 1e-5


def test_a_failing_recipe_shrinks():
    steps = (
        DENSE,
        Step("x2", "layers.Activation", (("activation", "tanh"),), ("x1",)),
        Step("x3", "layers.LayerNormalization", (("epsilon", 0.1), ("scale", False)), ("x2",)),
        Step("x4", "layers.Add", (), ("x3", "x2"), listed=True),
    )
    recipe = recipe_of(*steps, outputs=("x4", "x2"))
    smallest = shrink(recipe, lambda other: any(step.made == "layers.LayerNormalization" for step in other.steps))
    assert [step.made for step in smallest.steps] == ["layers.LayerNormalization"]
    assert smallest.steps[0].arguments == ()
    assert smallest.outputs == ("x3",)
    assert smallest.build().count_params() == 6


def test_shrinking_tries_no_model_that_keras_does_not_make(monkeypatch):
    tried = []
    monkeypatch.setattr(shrinking, "candidates", lambda recipe: [recipe_of(DENSE, outputs=("x9",))])
    shrink(recipe_of(DENSE), tried.append)
    assert not tried


def test_the_judge_sees_what_is_wrong():
    y = np.ones((2, 3), np.float32)
    assert difference([y], [y], [y], [1.0]) is None
    assert difference([y + 9e-5], [y], [y], [1.0]) is None
    assert "off by 2.0e-04" in difference([y + 2e-4], [y], [y], [1.0])
    assert difference([y + 2e-4], [y], [y + 1e-4], [1.0]) is None  # as far as the model itself rounds
    assert difference([0 * y], [1e-9 * y], [1e-9 * y], [1.0]) is None  # it reaches more than that
    assert "off by 1.0e+00" in difference([0 * y], [1e-9 * y], [1e-9 * y], [1e-4])
    assert "off by nan" in difference([y * np.nan], [y], [y], [1.0])
    assert difference([y + 2e-4], [y], [y], [1.0], [3e-5]) is None
    assert "off by 2.0e-04" in difference([y + 2e-4], [y], [y], [1.0], [1e-6])
    assert "has shape (3, 2)" in difference([y.T], [y], [y], [1.0])
    assert "2 outputs instead of 1" in difference([y, y], [y], [y], [1.0])


def test_where_keras_overflows_nothing_is_compared():
    y, over = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    over[0, 0] = np.inf
    assert difference([over], [over], [y], [1.0]) is None
    assert difference([over * np.nan], [over], [y], [1.0]) is not None
    assert "off by inf" in difference([over], [y], [y], [1.0])


def test_a_model_that_cancels_is_held_to_what_rounding_steps_make_of_it():
    """It takes off all but a thousandth of its first weights' results, so each step counts a thousand times."""
    far = [Step(f"x{i}", "layers.Dense", (("units", 2),), ("in0",)) for i in (1, 2)]
    recipe = recipe_of(*far, Step("x3", "layers.Subtract", (), ("x1", "x2"), listed=True), outputs=("x3", "x1"))
    model = recipe.build()
    weights = model.get_weights()
    model.set_weights([*weights[:2], weights[0] * np.float32(1.001), weights[1] * np.float32(1.001)])
    expected = judging.Expected.of(recipe, model)
    shares = [by / np.abs(y).max() for by, y in zip(expected.rounding(0), expected.single[0], strict=True)]
    assert shares[0] > 100 * shares[1] > 0


def test_numbers_beyond_those_of_any_network_show_nothing():
    powers = [Step(f"x{i}", "layers.Activation", (("activation", "exponential"),), (f"x{i - 1}",)) for i in (2, 3)]
    first = Step("x1", "layers.Rescaling", (("scale", 0.0), ("offset", 4.4)), ("in0",))
    expected = built_from(recipe_of(first, *powers, outputs=("x2",)))[1]
    assert not expected.shows_nothing(0)
    assert built_from(recipe_of(first, *powers, outputs=("x3",)))[1].shows_nothing(0)


def test_without_float64_a_rounding_step_shows_how_far_a_model_rounds():
    pooled = Step("x1", "layers.MaxPooling3D", (("pool_size", 2),), ("in0",))
    recipe = Recipe(0, (Entry("in0", (2, 2, 2, 1)),), (pooled,), ("x1",))
    expected = built_from(recipe)[1]
    single, moved = expected.single[0][0], expected.double[0][0]
    assert 0 < np.abs(single - moved).max() < 1e-6
    assert single.dtype == moved.dtype == np.float32


def fails(*_):
    raise VerificationError("'m' was not written: it does not reproduce its model. Output 'x1' is off by 3.0")


def crashes(*_):
    raise KeyError("a fault")


def test_a_right_file_that_is_refused_is_told_from_a_wrong_one(monkeypatch):
    monkeypatch.setattr(pipeline, "judge", fails)
    result = outcome(recipe_of(DENSE), "onnx")
    assert (result.outcome, result.kind) == (FALSELY_REFUSED, "VerificationError: Output '...' is off by #")
    monkeypatch.setattr(shutil, "copyfile", lambda _, to: to.write_bytes(b"no model"))
    assert outcome(recipe_of(DENSE), "onnx").outcome == REFUSED


def test_another_exception_is_a_crash(monkeypatch):
    monkeypatch.setattr(pipeline, "judge", crashes)
    result = outcome(recipe_of(DENSE), "onnx")
    assert (result.outcome, result.kind) == (CRASH, "KeyError in crashes")


def test_a_file_that_differs_is_wrong(monkeypatch):
    monkeypatch.setattr("random_models.outcome.judge", lambda path, _: "output 0 is off")
    assert outcome(recipe_of(DENSE), "onnx").outcome == WRONG


def test_refusals_of_one_kind_are_counted_together():
    one, other = (
        VerificationError(f"'/somewhere/{n}/m.onnx' ... does not reproduce its model. 'dense_{n}' is off by {n}.5e-04")
        for n in (1, 2)
    )
    assert kind_of(one) == kind_of(other)
