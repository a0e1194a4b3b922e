"""Masked scores do not take the 8 bits of the scores that count."""

import keras
import numpy as np
import pytest
from keras import ops
from keras_norms.export import to_tflite
from keras_norms.export.formats.tflite.flatbuffer_graph import Graph
from keras_norms.export.formats.tflite.quantize.masked_scores import Masks, around
from keras_norms.export.formats.tflite.quantize.ranges import Extremes
from tflite_files import Op, flatbuffer

L = keras.layers
SHAPE = (4, 10)


def masked(scores, adder):
    """Which tensors and operators of scores + adder -> softmax are taken for masked."""
    content = flatbuffer(
        {"scores": SHAPE, "adder": SHAPE},
        {},
        [Op("ADD", ["scores", "adder"], "sum", SHAPE), Op("SOFTMAX", ["sum"], "y", SHAPE)],
        ["y"],
    )
    graph, extremes = Graph(content), Extremes()
    masks, names = Masks(graph), {graph.name(i): i for i in range(len(graph.tensors))}
    for name, values in (("scores", scores), ("adder", adder), ("sum", scores + adder)):
        masks.see(names[name], values)
        extremes.see(names[name], values)
    found = masks.tensors(extremes)
    return {graph.name(i) for i in found}, [graph.kind(op) for op in around(graph, found)]


def drawn(scale=1.0, hide_a_row=False):
    rng = np.random.default_rng(0)
    keep = rng.random(SHAPE) < 0.7
    keep[:, 0] = True
    keep[3] &= not hide_a_row
    return (scale * rng.normal(size=SHAPE)).astype(np.float32), keep


@pytest.mark.parametrize("fill", [-3e38, -np.inf, -1e9, -1e4, -100.0])
def test_a_mask_and_the_softmax_behind_it(fill):
    scores, keep = drawn(hide_a_row=fill <= -1e4)
    with np.errstate(invalid="ignore"):
        adder = np.where(keep, 0.0, fill).astype(np.float32)
    assert masked(scores, adder) == ({"adder", "sum"}, ["ADD", "SOFTMAX"])


@pytest.mark.parametrize("adder", [0.0, -3.0])
def test_scores_without_a_mask(adder):
    scores, keep = drawn()
    assert masked(scores, np.where(keep, 0.0, adder).astype(np.float32)) == (set(), [])


def test_scores_that_are_far_apart_by_themselves():
    scores, _ = drawn(60.0)
    assert masked(scores, np.zeros(SHAPE, np.float32)) == (set(), [])


def test_large_numbers_of_all_sizes_are_no_mask():
    scores, _ = drawn(6000.0)
    assert masked(scores, scores) == (set(), [])


def test_an_infinity_among_large_numbers():
    scores, _ = drawn(6000.0)
    adder = scores.copy()
    adder[0, 0] = np.inf
    assert masked(scores, adder) == ({"adder", "sum"}, ["ADD", "SOFTMAX"])


def attention(kind, normed):
    q, keep = keras.Input((10, 8), name="q"), keras.Input((10,), dtype="bool", name="keep")
    mask = ops.expand_dims(keep, 1)
    queries, keys = L.Dense(8, name="queries")(q), L.Dense(8, name="keys")(q)
    if kind == "plain":
        y = L.MultiHeadAttention(2, 4, name="attention")(q, q)
    elif kind == "heads":
        y = L.MultiHeadAttention(2, 4, name="attention")(q, q, attention_mask=mask)
    elif kind == "causal":
        y = L.MultiHeadAttention(2, 4, name="attention")(q, q, use_causal_mask=True)
    else:
        scores = ops.einsum("btd,bsd->bts", queries, keys)
        scores = (
            scores + (1 - ops.cast(mask, "float32")) * -1e4 if kind == "added" else ops.where(mask, scores, -np.inf)
        )
        y = ops.einsum("bts,bsd->btd", L.Softmax(name="attention")(scores), L.Dense(8)(q))
    y = L.LayerNormalization()(q + y) if normed else q + y
    return keras.Model([q, keep], L.Dense(3, name="y")(y + 0.0 * ops.cast(keep, "float32")[:, :, None]))


def decibels(kind, normed, mode, tmp_path):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    data = {"q": rng.normal(size=(32, 10, 8)).astype("float32"), "keep": rng.random((32, 10)) < 0.8}
    report = to_tflite(attention(kind, normed), tmp_path / f"{kind}.tflite", quantize=mode, calibration=data)
    said = any("the softmax of attention" in warning for warning in report.warnings)
    assert said == (kind != "plain")
    return report.verification.outputs["y"].sqnr_db


@pytest.fixture(scope="module", params=["int8", "int16x8"])
def plain(request, tmp_path_factory):
    return request.param, decibels("plain", False, request.param, tmp_path_factory.mktemp("plain"))


@pytest.mark.runtime
@pytest.mark.parametrize(("kind", "normed"), [("heads", True), ("causal", False), ("added", True), ("filled", False)])
def test_a_mask_costs_little(kind, normed, plain, tmp_path):
    mode, without = plain
    assert decibels(kind, normed, mode, tmp_path) > without - 5
