"""What rounding alone does to a model, and what an artifact may be off by because of it."""

import keras
import numpy as np
import pytest
from keras_norms.export import ExportError
from keras_norms.export.model.facts import ModelFacts
from keras_norms.export.model.precision import in_float64
from keras_norms.export.model.test_inputs import Probe
from keras_norms.export.verification.float32_rounding import Rounding, rounding, rounding_by_steps
from keras_norms.export.verification.metrics import relative_errors
from keras_norms.export.verification.reference import run_model
from keras_norms.export.verification.tolerance import FACTOR, MOST_OFF, Tolerance, unusable

import keras_norms

L = keras.layers


def measure(outputs, others):
    return relative_errors(zip(outputs, others, strict=True), [0.0] * len(outputs))


def rounded(model, *arrays):
    return rounding(ModelFacts.of(model), run_model, [np.asarray(x, "float32") for x in arrays], measure)


def network(depth=6, units=4):
    keras.utils.set_random_seed(0)
    x = image = keras.Input((12, 12, 3), name="image")
    for _ in range(depth):
        x = L.Conv2D(16, 3, padding="same", use_bias=False)(x)
        x = L.ReLU()(L.GroupNormalization(8, beta_initializer="random_normal")(x))
    return keras.Model(image, L.Dense(units)(L.GlobalAveragePooling2D()(x)))


class Narrow(L.Layer):
    """A layer that has no float64, as poolings of volumes have none on TensorFlow."""

    def call(self, x):
        if keras.backend.standardize_dtype(x.dtype) == "float64":
            raise NotImplementedError
        return x * 0.3


def test_rounding_is_taken_from_float64_and_the_model_stays_as_it_is():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 12, 12, 3))
    before = [w.tobytes() for w in model.get_weights()]
    policies = [layer.dtype_policy.name for layer in model.layers]
    found = rounded(model, x)
    assert found.how == "in float64"
    assert 1e-8 < found.shares[0] < 1e-5
    assert [w.tobytes() for w in model.get_weights()] == before
    assert [layer.dtype_policy.name for layer in model.layers] == policies


def test_far_from_zero_the_rounding_of_float32_is_seen():
    """x - mean(x) of numbers near 1e4 keeps three digits: 2^-24 * 1e4 = 6e-4 of a deviation."""
    x = keras.Input((64,))
    model = keras.Model(x, L.LayerNormalization()(x * 1.1))
    far = 1e4 + np.random.default_rng(0).normal(size=(4, 64))
    assert 1e-4 < rounded(model, far).shares[0] < 1e-2
    assert rounded(model, far - 1e4).shares[0] < 1e-6


def test_one_number_that_is_right_by_luck_is_computed_again():
    """1 + x and the like may come out to the last bit: the largest of several results counts."""
    x = keras.Input((3,))
    model = keras.Model(x, keras.ops.sum(x * np.float32(1 / 3), axis=-1))
    rows = np.random.default_rng(0).normal(size=(20, 1, 3))
    exact = [rounded(model, row).shares[0] for row in rows]
    assert min(exact) > 0


def test_a_layer_without_float64_is_bounded_by_steps_of_the_same_order():
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(8, 3)(x)
    tail = [L.ReLU(), L.GroupNormalization(2), L.Flatten(), L.Dense(5)]
    data = np.random.default_rng(0).normal(size=(2, 8, 8, 3))

    def through(y):
        for layer in tail:
            y = layer(y)
        return y

    wide = rounded(keras.Model(x, through(y * 0.3)), data)
    bound = rounded(keras.Model(x, through(Narrow()(y))), data)
    assert wide.shares[0] / 3 < bound.shares[0] < 30 * wide.shares[0]


def test_a_layer_without_float64_leaves_the_others_theirs():
    x = keras.Input((64,))
    far = L.Lambda(lambda t: (t + 1e4) - 1e4)(x)  # steps of its result do not show what it rounds inside
    model = keras.Model(x, [far, Narrow()(x), Narrow()(L.Dense(3)(far))])
    found = rounded(model, np.random.default_rng(0).normal(size=(4, 64)))
    assert 1e-5 < found.shares[0] < 1e-3
    assert found.shares[1] < 1e-6
    assert 1e-6 < found.shares[2] < 1e-3
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}


ZEROS = np.zeros((1, 6))


@pytest.mark.parametrize(
    ("layer", "data"),
    [
        (L.LayerNormalization(), np.full((256, 4), 1.37)),  # 0; a rounding step of the mean makes 2e-6 of it
        (L.Dense(2, activation="sigmoid", kernel_initializer="ones"), ZEROS - 4.0),  # 1e-11, to a step of 1
        (L.Activation("tanh"), ZEROS),
        (L.Activation("silu"), ZEROS - 60.0),  # 5e-25, to a step of 60
    ],
    ids=["norm of equal numbers", "sigmoid", "tanh", "silu"],
)
def test_where_keras_is_exact_by_luck_steps_show_what_other_kernels_may_do(layer, data):
    x = keras.Input(data.shape[1:])
    facts, arrays = ModelFacts.of(keras.Model(x, layer(x))), [data.astype("float32")]

    def absolute(outputs, others):
        return [float(np.abs(y - other).max()) for y, other in zip(outputs, others, strict=True)]

    assert rounding(facts, run_model, arrays, absolute).shares[0] < 1e-12
    assert 5e-8 < rounding_by_steps(facts, run_model, arrays, absolute, bounded=True).shares[0] < 3e-5
    if not isinstance(layer, L.LayerNormalization):  # on ordinary inputs such kernels are off from Keras
        assert rounding_by_steps(facts, run_model, arrays, absolute).shares[0] < 1e-12


def test_small_differences_round_as_what_they_are_taken_of():
    x = keras.Input((6,))
    facts, arrays = ModelFacts.of(keras.Model(x, L.Activation("tanh_shrink")(x))), [np.full((1, 6), 0.25, "float32")]
    exact = 0.25 - np.tanh(0.25)
    share = rounding_by_steps(facts, run_model, arrays, measure).shares[0]
    assert share == pytest.approx(2.0**-23 * 0.25 / exact, rel=0.2)


def test_the_mean_that_a_norm_subtracts_is_moved_too():
    """However its input is moved, what a norm gives adds up to 0: a sum of it times large numbers would not show."""
    x = keras.Input((8,))
    y = keras_norms.LayerNormalization(center=False, scale=False)(x)
    model, far = keras.Model(x, keras.ops.sum(y * 100.0, axis=-1)), 100.0 + np.random.default_rng(0).normal(size=(1, 8))
    facts, arrays = ModelFacts.of(model), [far.astype("float32")]
    moved = rounding_by_steps(facts, run_model, arrays, lambda a, b: [float(np.abs(a[0] - b[0]).max())]).shares[0]
    assert moved > 0.25 * 8 * 100 * 100 * 2.0**-23  # 8 numbers times 100, a mean of 100


def test_steps_leave_the_model_as_it_is():
    x = keras.Input((6,))
    model = keras.Model(x, L.LayerNormalization()(L.Dense(2, activation="tanh")(x)))
    facts, data = ModelFacts.of(model), [np.ones((1, 6), "float32")]
    before = run_model(facts, data)
    assert rounding_by_steps(facts, run_model, data, measure).shares[0] > 0
    np.testing.assert_array_equal(run_model(facts, data), before)
    assert model.layers[1].activation is keras.activations.tanh


def test_the_larger_of_two_measurements_counts_and_says_how():
    one, other = Rounding([1e-6, 3e-6], "in float64"), Rounding([2e-6, 1e-6], "by steps")
    assert one.or_by(other) == Rounding([2e-6, 3e-6], "in float64 or by steps")
    assert one.or_by(Rounding([0.0, 0.0], "by steps")) == one


@pytest.mark.parametrize("wide", [True, False])
def test_ids_flags_and_mask_values_are_not_moved(wide):
    """Were an id moved by a rounding step, another row would be looked up; were -1 moved, nothing would be masked."""
    keras.utils.set_random_seed(0)
    ids, steps = keras.Input((4,), name="ids"), keras.Input((4, 3), name="steps")
    looked_up = L.Flatten()(L.Embedding(9, 2)(ids))
    read = L.LSTM(3)(L.Masking(-1.0)(steps))
    y = L.Dense(2)(L.Concatenate()([looked_up, read]))
    model = keras.Model([ids, steps], y if wide else Narrow()(y))
    data = np.random.default_rng(0).normal(size=(2, 4, 3))
    data[:, 2:] = -1.0
    assert rounded(model, [[7, 1, 8, 3], [2, 2, 5, 0]], data).shares[0] < 1e-6


def test_a_mask_value_that_float64_writes_otherwise_still_masks():
    x = keras.Input((5, 2))
    model = keras.Model(x, L.LSTM(3)(L.Masking(0.1)(x)))
    data = np.full((1, 5, 2), 0.1, "float32")
    data[:, :2] = 0.7
    assert rounded(model, data).shares[0] < 1e-6


def test_nested_models_stay_in_float64():
    """A nested model would cast its inputs to its own Input's float32: far from zero that would hide what is lost."""
    inner = keras.Sequential([keras.Input((64,)), L.LayerNormalization()])
    x = keras.Input((64,))
    model, far = keras.Model(x, inner(x * 1.1)), 1e4 + np.random.default_rng(0).normal(size=(4, 64))
    with in_float64(model):
        (y,) = run_model(ModelFacts.of(model), [far])
    shifted = 1.1 * far - 1.1 * far.mean(-1, keepdims=True)
    np.testing.assert_allclose(y, shifted / np.sqrt((shifted**2).mean(-1, keepdims=True) + 1e-3), rtol=1e-6, atol=1e-6)


def test_the_default_is_widened_by_what_rounding_does():
    assert Tolerance.of(None).limits(Rounding([1e-7, 1e-4], "")) == [1e-4, FACTOR * 1e-4]


def test_a_tolerance_that_is_given_is_the_law_on_random_and_given_inputs_alone():
    given = Tolerance.of(1e-12)
    assert given.is_law(Probe("random, batch 1", [], ""))
    assert given.is_law(Probe("mine", [], "", given=True))
    assert not given.is_law(Probe("offset", [], ""))
    assert not Tolerance.of(None).is_law(Probe("random, batch 1", [], ""))


@pytest.mark.parametrize("share", [0, 1, -1e-4, float("nan"), True, "1e-4", 2])
def test_a_tolerance_of_no_use_is_refused(share):
    with pytest.raises(ExportError, match="tolerance must be a share of the output's scale, between 0 and 1"):
        Tolerance.of(share)


def test_a_model_that_rounding_moves_too_far_tells_nothing():
    assert unusable(Rounding([MOST_OFF], "in float64")) is None
    assert unusable(Rounding([1e-9, 0.3], "in float64")) == (
        "rounding alone moves the model's own output by 3e-01 of its scale (in float64)"
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_read_as_they_are(dtype):
    inputs = keras.Input((8,), batch_size=1)
    model = keras.Model(inputs, L.Dense(4, dtype=dtype, bias_initializer="ones")(inputs))
    assert rounded(model, np.zeros((1, 8))).shares == [0.0]
