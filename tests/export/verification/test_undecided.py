"""Outputs that rounding alone changes: judged layer by layer from what the file has before each, or refused by name."""

import keras
import numpy as np
import pytest
from exports import EXPORTS
from keras import ops
from keras_norms.export import VerificationError, to_onnx, verify
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.verification.inside.found_values import Values
from keras_norms.export.verification.inside.layer_by_layer import layer_by_layer
from models import randomize
from norm_mutants import export_unverified, verified_here

import keras_norms

L = keras.layers
SUFFIXES = pytest.mark.parametrize("suffix", EXPORTS)


def chaotic(at=None, turns=24, by=1.001):
    """Each layer doubles what is off: after 24 of them nothing is left of what any two runtimes have in common."""
    x = keras.Input((6,), name="x")
    y = L.Activation("sigmoid", name="start")(x)
    for i in range(turns):
        top = 4.0 / by if i == at else 4.0
        y = L.Lambda(lambda t, top=top: top * t * (1.0 - t), name=f"turn_{i}")(y)
    return keras.Model(x, L.Dense(2, use_bias=False, kernel_initializer="ones", name="y")(y))


def nothing_but_rounding(faulty=False):
    """A layer norm without gamma and beta is zero on average, whatever it is given."""
    x = keras.Input((5, 4), name="x")
    y = L.Dense(4, activation="tanh", name="dense")(x)
    y = keras_norms.LayerNormalization(center=False, scale=False, epsilon=1e-2 if faulty else 1e-3, name="norm")(y)
    return randomize(keras.Model(x, L.GlobalAveragePooling1D(data_format="channels_first", name="zero")(y)))


@pytest.mark.runtime
@SUFFIXES
@pytest.mark.parametrize("make", [chaotic, nothing_but_rounding])
def test_a_right_file_of_which_the_end_tells_nothing_is_written(make, suffix, tmp_path):
    report = EXPORTS[suffix](make(), tmp_path / f"m{suffix}").verification
    assert report.undecided == ()
    checks = [check for check in report.checks if check.runtime.endswith("layer by layer")]
    assert {check.case for check in checks} == {"random, batch 1", "random, batch 3"}
    assert "each layer was computed from what the file has before it" in str(report)
    assert "rounding alone moves the model's own output" in str(report)


@pytest.mark.runtime
@pytest.mark.parametrize(("suffix", "at"), [(".tflite", 12), (".onnx", 0), (".onnx", 23)])
def test_a_wrong_layer_of_a_chaotic_model_is_refused(suffix, at, tmp_path):
    export_unverified(chaotic(at), tmp_path / f"m{suffix}")
    with verified_here():
        report = verify(chaotic(), tmp_path / f"m{suffix}")
    assert not report.ok
    assert report.undecided == ("y",)
    assert "inconclusive: every random or given input was skipped" in report.failure()
    assert "Rounding alone changes what 'turn_" in report.failure()


@pytest.mark.runtime
@SUFFIXES
def test_zeros_of_a_wrong_norm_are_refused(suffix, tmp_path):
    export_unverified(nothing_but_rounding(faulty=True), tmp_path / f"m{suffix}")
    with verified_here():
        assert not verify(nothing_but_rounding(), tmp_path / f"m{suffix}").ok


@pytest.mark.runtime
def test_the_layer_that_makes_any_number_of_a_rounding_step_is_named(tmp_path):
    x = keras.Input((200,), name="x")
    y = L.Lambda(lambda t: ops.sin(ops.tanh(t) * 1e9), name="wild")(L.ReLU(name="before")(x))
    with pytest.raises(VerificationError, match=r"Rounding alone changes what 'wild' gives\. Give inputs= "):
        to_onnx(keras.Model(x, L.ReLU(name="after")(y)), tmp_path / "m.onnx")


@pytest.mark.runtime
def test_one_undecided_output_does_not_leave_out_the_others(tmp_path):
    base, rest = nothing_but_rounding(), L.Dense(3, name="rest")
    model = keras.Model(base.inputs, {"zero": base.output, "rest": rest(base.get_layer("dense").output)})
    to_onnx(model, tmp_path / "m.onnx")
    kernel, bias = rest.get_weights()
    rest.set_weights([kernel * 1.01, bias])
    report = verify(model, tmp_path / "m.onnx")
    assert not report.ok
    assert "Output 'rest' differs" in report.failure()


def replayed(model, x, values):
    facts = ModelFacts.of(model)
    return layer_by_layer(facts, [x], Values(values))[0]


def test_what_stands_in_the_file_is_handed_on_and_what_does_not_is_computed():
    x = keras.Input((4,))
    y = L.Rescaling(3.0, name="first")(x)
    model = keras.Model(x, L.Rescaling(1.0, 5.0, name="second")(y))
    data = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    near, far = 3.0 * data * np.float32(1 + 5e-6), 3.0 * data * np.float32(1 + 1e-3)
    np.testing.assert_array_equal(replayed(model, data, [near]).value, near.astype("float64") + 5.0)
    np.testing.assert_allclose(replayed(model, data, [far]).value, 3.0 * data.astype("float64") + 5.0, rtol=1e-12)


def test_only_what_was_computed_from_the_files_own_values_may_be_nothing_but_rounding():
    x = keras.Input((4, 8))
    y = L.LayerNormalization(center=False, scale=False)(L.Rescaling(3.0)(x))
    model = keras.Model(x, L.GlobalAveragePooling1D(data_format="channels_first")(y))
    data = np.random.default_rng(0).normal(size=(2, 4, 8)).astype("float32")
    scaled = 3.0 * data
    normed = keras.ops.convert_to_numpy(model.layers[2](scaled))
    zeros = normed.mean(-1)
    assert 0 < replayed(model, data, [scaled, normed, zeros]).slack < 1e-5
    assert replayed(model, data, [scaled, normed[:, ::-1], zeros]).slack == 0
