"""Maps that attention takes into its projections: in front of it those of a norm, behind it those of a batch norm."""

import keras
import numpy as np
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn
from keras_norms.export.folding.fold import fold

import keras_norms

L = keras.layers
SEQUENCE, OTHER = (5, 6), (7, 6)

ATTENTIONS = {
    "multi_head": lambda **k: L.MultiHeadAttention(2, 3, name="attention", **k),
    "group_query": lambda **k: L.GroupQueryAttention(3, 4, 2, name="attention", **k),
}
NORMS = {
    "layer": L.LayerNormalization,
    "rms": L.RMSNormalization,
    "no_beta": lambda **k: keras_norms.LayerNormalization(center=False, **k),
}


def self_attention(attention, norm=L.LayerNormalization, **call):
    x = keras.Input(SEQUENCE)
    y = norm(name="norm")(x)
    return randomize(keras.Model(x, L.Add()([x, attention(y, y, **call)])))


def tails(report):
    return [(tail.norm, tail.into) for tail in report.tails]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_self_attention_takes_gamma_and_beta_in(attention, norm, use_bias):
    model = self_attention(ATTENTIONS[attention](use_bias=use_bias), NORMS[norm], use_causal_mask=True)
    result, report = assert_folds(model, [], tolerance=3e-5)
    assert tails(report) == [("norm", ("attention",))]
    # A bias comes only with a beta.
    assert result.get_layer("attention").use_bias == (use_bias or norm == "layer")


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_gate_takes_it_in_too(attention):
    try:
        layer = ATTENTIONS[attention](use_gate=True)
    except (TypeError, ValueError):
        pytest.skip("this version of Keras has no gate")
    _, report = assert_folds(self_attention(layer), [], tolerance=3e-5)
    assert tails(report) == [("norm", ("attention",))]


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("key", [False, True])
def test_cross_attention_takes_in_two_norms(use_bias, key):
    x, memory = keras.Input(SEQUENCE, name="x"), keras.Input(OTHER, name="memory")
    query, value = L.LayerNormalization(name="query")(x), L.LayerNormalization(name="value")(memory)
    attention = L.MultiHeadAttention(2, 3, use_bias=use_bias, name="attention")
    attended = attention(query=query, value=value, key=memory) if key else attention(query=query, value=value)
    _, report = assert_folds(randomize(keras.Model([x, memory], attended)), [], tolerance=3e-5)
    assert tails(report) == [("query", ("attention",)), ("value", ("attention",))]


def test_every_layer_behind_the_norm_must_take_it_in():
    x = keras.Input(SEQUENCE)
    y = L.LayerNormalization(name="norm")(x)
    model = randomize(keras.Model(x, L.Add()([y, L.MultiHeadAttention(2, 3)(y, y)])))
    _, report = assert_folds(model, [])
    assert report.tails == []


def test_attention_and_dense_layers_share_a_norm():
    x = keras.Input(SEQUENCE)
    y = L.LayerNormalization(name="norm")(x)
    both = [L.MultiHeadAttention(2, 3, name="attention")(y, y), L.Dense(6, use_bias=False, name="dense")(y)]
    _, report = assert_folds(randomize(keras.Model(x, L.Add()(both))), [], tolerance=3e-5)
    assert tails(report) == [("norm", ("attention", "dense"))]


def test_a_norm_that_also_makes_the_mask_stays():
    x = keras.Input((5, 5))
    y = L.LayerNormalization(name="norm")(x)
    model = randomize(keras.Model(x, L.MultiHeadAttention(2, 3)(y, y, attention_mask=y)))
    assert fold(model).report.tails == []


def test_a_mask_beside_it_is_left_alone():
    x, mask = keras.Input(SEQUENCE, name="x"), keras.Input((5, 5), dtype="bool", name="mask")
    y = L.LayerNormalization(name="norm")(x)
    model = randomize(keras.Model([x, mask], L.MultiHeadAttention(2, 3, name="attention")(y, y, attention_mask=mask)))
    given = [
        np.random.default_rng(0).standard_normal((2, *SEQUENCE)).astype("float32"),
        np.tril(np.ones((2, 5, 5), bool)),
    ]
    _, report = assert_folds(model, [], tolerance=3e-5, x=given)
    assert tails(report) == [("norm", ("attention",))]


@pytest.mark.parametrize("second", ["same", "query alone"])
def test_a_shared_attention_takes_it_in_only_in_the_same_places(second):
    x, memory = keras.Input(SEQUENCE, name="x"), keras.Input(OTHER, name="memory")
    norm, attention = L.LayerNormalization(name="norm"), L.MultiHeadAttention(2, 3, name="attention")
    a, b = norm(x), norm(memory)
    model = keras.Model([x, memory], [attention(a, a), attention(b, b if second == "same" else memory)])
    _, report = assert_folds(randomize(model), [], tolerance=3e-5)
    assert tails(report) == ([("norm", ("attention",))] if second == "same" else [])


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_batch_norm_behind_it_goes_into_the_projection_of_the_output(attention, use_bias):
    x = keras.Input(SEQUENCE)
    model = keras.Model(x, L.ReLU()(bn()(ATTENTIONS[attention](use_bias=use_bias)(x, x))))
    _, report = assert_folds(randomize(model), ["bn"])
    assert report.folded[0].rule == "after attention"


REFUSED = {
    "scores": (lambda y: L.MultiHeadAttention(2, 3)(y, y, return_attention_scores=True)[0], "returns its scores too"),
    "several axes": (
        lambda y: L.MultiHeadAttention(2, 3, output_shape=(4, 3))(y, y),
        "has features on several axes",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_batch_norm_behind_it_is_refused_for(case):
    attend, reason = REFUSED[case]
    x = keras.Input(SEQUENCE)
    assert_folds(randomize(keras.Model(x, L.ReLU()(bn()(attend(x))))), [], {"bn": reason})
