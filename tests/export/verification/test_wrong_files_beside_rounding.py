"""Files that are wrong where rounding alone moves the model, or where one kind of input is far larger than another."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import VerificationError, to_onnx, verify
from keras_norms.export.formats import format_of
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.test_inputs import INFINITE
from keras_norms.export.verification.cases import cases_to_try
from keras_norms.export.verification.inside.found_values import Values
from keras_norms.export.verification.inside.layer_by_layer import layer_by_layer
from keras_norms.export.verification.judge_artifact import judge_artifact
from norm_mutants import export_unverified, verified_here

L = keras.layers
RNG = np.random.default_rng(1)


def of(*functions, width=50):
    x = y = keras.Input((width,), name="x")
    for i, function in enumerate(functions):
        y = L.Lambda(function, name=f"layer_{i}")(y)
    return keras.Model(x, y)


def judged(right, wrong, path, **given):
    export_unverified(wrong, path)
    with verified_here():
        return verify(right, path, **given)


def logistic(turns=17):
    """Rounding moves its outputs by 4e-2."""
    x = keras.Input((6,))
    y = of(*[lambda t: 4.0 * t * (1.0 - t)] * turns, width=6)(L.Activation("sigmoid")(x))
    return keras.Model(x, L.Dense(2, use_bias=False, kernel_initializer="ones")(y))


class Elsewhere:
    """A runtime that answers 7 everywhere."""

    def __init__(self, runner):
        self.runner, self.inputs, self.outputs = runner, runner.inputs, runner.outputs

    def run(self, arrays):
        return {name: np.full_like(y, 7.0) for name, y in self.runner.run(arrays).items()}


@pytest.mark.runtime
def test_each_runtime_is_held_to_what_rounding_explains(tmp_path):
    model, path = logistic(), tmp_path / "m.onnx"
    export_unverified(model, path)
    form, facts = format_of(path), ModelFacts.of(model)
    sound = form.runners(path)
    assert judge_artifact(facts, form, path, sound, cases_to_try(facts, sound, path)).ok
    for name, runner in list(sound.items())[:2]:
        runners = {**sound, name: Elsewhere(runner)}
        report = judge_artifact(facts, form, path, runners, cases_to_try(facts, runners, path))
        assert not report.ok
        assert name in report.failure()


@pytest.mark.runtime
@pytest.mark.parametrize("wave", [ops.cos, lambda t: 0.0 * t, lambda t: 0.5 * ops.sin(t)])
def test_another_wave_behind_large_numbers_is_refused(wave, tmp_path):
    bias = RNG.uniform(2e6, 4e6, 50).astype("float32")
    right, wrong = (of(lambda t: t * 5e5 + bias, function, lambda t: t * 1.0001) for function in (ops.sin, wave))
    assert not judged(right, wrong, tmp_path / "m.onnx").ok


@pytest.mark.runtime
@pytest.mark.parametrize("batch", [None, 1])
def test_what_kernels_lose_of_a_sigmoid_and_a_norm_brings_back_is_refused(batch, tmp_path):
    """sigmoid(-20) is 2e-9; to ONNX Runtime it is 1.5e-8, as of every other number below -18."""
    x = keras.Input((2,), batch_size=batch)
    gate = L.Activation("sigmoid")(ops.abs(x) * -6.0)
    y = L.Lambda(lambda t: t / ops.sum(t, -1, keepdims=True))(gate)
    with pytest.raises(VerificationError, match="on wide input"):
        to_onnx(keras.Model(x, y), tmp_path / "m.onnx")


class NotFiniteOn:
    """A runtime that answers NaN where an input is as large as `size`."""

    def __init__(self, runner, size):
        self.runner, self.size, self.inputs, self.outputs = runner, size, runner.inputs, runner.outputs

    def run(self, arrays):
        bad = any(np.isfinite(x).all() and np.abs(x).max() >= self.size for x in arrays.values())
        return {name: np.full_like(y, np.nan) if bad else y for name, y in self.runner.run(arrays).items()}


@pytest.mark.runtime
@pytest.mark.parametrize("overflows", [True, False])
def test_not_finite_tells_nothing_where_the_model_itself_has_infinities_inside(overflows, tmp_path):
    x = keras.Input((6,))
    inside = L.Activation("exponential" if overflows else "relu", name="inside")(x)
    model, path = keras.Model(x, L.Lambda(lambda t: ops.minimum(t, 2.0))(inside)), tmp_path / "m.onnx"
    export_unverified(model, path)
    form, facts = format_of(path), ModelFacts.of(model)
    runners = {name: NotFiniteOn(runner, 30_000) for name, runner in form.runners(path).items()}
    report = judge_artifact(facts, form, path, runners, cases_to_try(facts, runners, path))
    assert report.ok is overflows, report
    assert ("steps: 'inside' gives infinite numbers on it" in report.skipped) is overflows


@pytest.mark.runtime
def test_an_infinity_asks_nothing_more_of_an_output_that_is_wrong_already(tmp_path):
    """And all of the others: one that leaks into other samples is found beside it."""

    def net(first, second):
        x = keras.Input((50,), name="x")
        return keras.Model(x, [L.Lambda(first, name="first")(x), L.Lambda(second, name="second")(x)])

    right, leaks = net(lambda t: 2 * t, ops.tanh), lambda t: ops.tanh(t) + 0.0 * ops.sum(t, 0, keepdims=True)
    half = judged(right, net(lambda t: 3 * t, ops.tanh), tmp_path / "half.onnx")
    both = judged(right, net(lambda t: 3 * t, leaks), tmp_path / "both.onnx")
    assert f"{INFINITE}: 'first' may depend on the infinity, and is wrong on another input" in half.skipped
    assert {check.output for check in half.checks if check.case == INFINITE} == {"second"}
    for report, wrong in ((half, {"first"}), (both, {"first", "second"})):
        assert {check.output for check in report.checks if not check.ok} == wrong


@pytest.mark.runtime
def test_large_inputs_of_the_user_hide_nothing_on_random_ones(tmp_path):
    right, wrong = (of(lambda t, eps=eps: t + t / ops.sqrt(t * t + eps)) for eps in (1e-3, 1e-2))
    large = (3e6 * RNG.normal(size=(4, 50))).astype("float32")
    assert not judged(right, wrong, tmp_path / "m.onnx").ok
    assert not verify(right, tmp_path / "m.onnx", inputs=large).ok


@pytest.mark.runtime
def test_small_inputs_of_the_user_are_judged_by_what_they_give(tmp_path):
    right, wrong = of(lambda t: t * 2.0), of(lambda t: ops.where(ops.abs(t) < 1e-6, 0.0, t * 2.0))
    small = (1e-8 * RNG.normal(size=(4, 50))).astype("float32")
    assert judged(right, wrong, tmp_path / "m.onnx").ok
    report = verify(right, tmp_path / "m.onnx", inputs=small)
    assert not report.ok
    assert {check.case for check in report.checks if not check.ok} == {"given"}


def replayed(model, x, values):
    return layer_by_layer(ModelFacts.of(model), [x], Values(values))[0]


def test_what_may_be_off_behind_a_layer_is_as_much_smaller_as_its_result():
    data = (1e4 * np.random.default_rng(0).normal(size=(2, 50))).astype("float32")
    bare, scaled = of(lambda t: t - ops.mean(t)), of(lambda t: t - ops.mean(t), lambda t: t * 0.003)
    first = ops.convert_to_numpy(bare(data))
    before, behind = replayed(bare, data, [first]), replayed(scaled, data, [first, 0.003 * first])
    assert before.slack > 0
    assert behind.slack == pytest.approx(0.003 * before.slack, rel=0.5)
