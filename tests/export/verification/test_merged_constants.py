"""A norm of an artifact is found where the constants of layers behind it were merged into its own."""

import keras
import numpy as np
import pytest
from keras_norms.export import to_onnx, to_tflite, verify
from keras_norms.export.verification.inside.found_values import Values
from keras_norms.export.verification.inside.norms import judge_norms
from keras_norms.export.verification.recording import recording
from models import randomize

import keras_norms

L = keras.layers
RNG = np.random.default_rng(0)
SPREAD = 1.02  # of what the norm takes: it hardly divides
FED = (0.3 + SPREAD * RNG.normal(size=(1, 4, 4, 6))).astype("float32")
GAMMA, BETA = RNG.uniform(0.5, 1.5, 6), RNG.normal(size=6)


def normed(x, epsilon):
    centred = x - x.mean()
    return centred / np.sqrt(centred.var() + epsilon) * GAMMA + BETA


def behind(x):
    """The moving average of a batch norm that has seen nothing hardly changes what it takes."""
    return x / np.sqrt(1 + 1e-3)


def judged(*values, between=None):
    """What is said of a group norm of one group, a batch norm behind it, in a file of these values."""
    x = keras.Input(FED.shape[1:])
    norm = keras_norms.GroupNormalization(1, epsilon=1e-3, name="norm")
    y = norm(x) if between is None else between(norm(x))
    model = keras.Model(x, L.BatchNormalization()(y))
    norm.gamma.assign(GAMMA)
    norm.beta.assign(BETA)
    with recording(model) as calls:
        model(FED, training=False)
    return judge_norms(calls, Values([FED, *(np.float32(y) for y in values)]))


@pytest.mark.parametrize("between", [None, L.UpSampling2D(2)])
@pytest.mark.parametrize("less", [0.0, behind(BETA)], ids=["with what is added", "without"])
def test_a_result_with_the_constants_of_the_next_layer_is_right(between, less):
    (found,) = judged(behind(normed(FED.astype("float64"), 1e-3)) - less, between=between)
    assert found.relative < found.allowed


def test_a_wrong_epsilon_is_found_there_too():
    (found,) = judged(behind(normed(FED.astype("float64"), 2e-3)))
    assert found.relative > 10 * found.allowed


def test_an_activation_may_have_been_merged_as_well():
    (found,) = judged(np.maximum(behind(normed(FED.astype("float64"), 1e-3)), 0))
    assert found.relative < found.allowed


def test_what_a_norm_divides_is_not_its_result():
    assert judged(FED - FED.mean()) == []


def test_the_activation_behind_a_norm_keeps_its_constants_there():
    """Behind it the batch norm's go into no norm: what has them is not its result, but off by their share."""
    (found,) = judged(behind(normed(FED.astype("float64"), 1e-3)), between=L.Activation("tanh"))
    assert found.relative > 10 * found.allowed


@pytest.mark.runtime
@pytest.mark.parametrize(
    ("export", "suffix", "norm", "between"),
    [
        (to_tflite, ".tflite", L.GroupNormalization(2), None),
        (to_tflite, ".tflite", keras_norms.GroupNormalization(2), L.UpSampling2D(2)),
        (to_onnx, ".onnx", L.RMSNormalization(), None),
    ],
)
def test_a_norm_before_a_fresh_batch_norm_is_exported(export, suffix, norm, between, tmp_path, read_here):
    x = keras.Input((6, 6, 3))
    y = norm(L.Conv2D(8, 3, name="conv")(x))
    y = L.BatchNormalization(name="fresh")(y if between is None else between(y))
    model = randomize(keras.Model(x, L.GlobalAveragePooling2D()(L.ReLU()(y))))
    fresh = model.get_layer("fresh")
    fresh.set_weights([np.ones(8), np.zeros(8), np.zeros(8), np.ones(8)])
    path = tmp_path / f"m{suffix}"
    assert export(model, path).verification.inside.norms == 1
    norm.epsilon += 2e-3
    assert not verify(model, path).ok


@pytest.mark.runtime
def test_norms_that_attention_took_gamma_and_beta_of_are_looked_at(tmp_path):
    given = keras.Input((6, 5))
    x = L.Dense(8)(given)
    y = L.LayerNormalization()(x)
    z = L.LayerNormalization()(L.Add()([x, L.MultiHeadAttention(2, 4)(y, y)]))
    model = randomize(keras.Model(given, L.Dense(3)(z)))
    report = to_tflite(model, tmp_path / "m.tflite")
    assert report.ops["MUL"] == 4  # the square and the quotient of each norm
    assert report.verification.inside.norms == 2
