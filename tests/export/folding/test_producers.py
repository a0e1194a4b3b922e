"""Embeddings, EinsumDense, TimeDistributed."""

import keras
import pytest
from fold_checks import assert_folds, randomize
from fold_models import bn, sequence

L = keras.layers
IMAGE = (9, 8, 4)


@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding(mask_zero):
    model = keras.Sequential([keras.Input((6,), dtype="int32"), L.Embedding(5, 4, mask_zero=mask_zero), bn(), L.ReLU()])
    assert_folds(randomize(model), [] if mask_zero else ["bn"], {"bn": "masks token 0"} if mask_zero else ())


EINSUMS = {
    "last": ("abc,cd->abd", (None, 5), "d"),
    "two_axes": ("abc,cde->abde", (None, 3, 5), "e"),
    "two_axes_both_biased": ("abc,cde->abde", (None, 3, 5), "de"),
    "first_axis_biased": ("abc,cde->abde", (None, 3, 5), "d"),
    "no_bias": ("abc,cde->abde", (None, 3, 5), None),
    "ellipsis": ("...x,xy->...y", 5, "y"),
}


@pytest.mark.parametrize("case", EINSUMS)
def test_after_einsum_dense(case):
    equation, shape, bias_axes = EINSUMS[case]
    dense = L.EinsumDense(equation, shape, bias_axes=bias_axes, bias_initializer="normal")
    assert_folds(sequence((6, 4), dense, bn(), L.ReLU()), ["bn"])
    assert_folds(sequence((6, 4), L.EinsumDense(equation, shape, bias_axes=bias_axes), bn("a"), bn("b")), ["a", "b"])


@pytest.mark.parametrize("case", EINSUMS)
def test_before_einsum_dense(case):
    equation, shape, bias_axes = EINSUMS[case]
    dense = L.EinsumDense(equation, shape, bias_axes=bias_axes, bias_initializer="normal")
    assert_folds(sequence((6, 4), L.ReLU(), bn(), dense), ["bn"])


def test_einsum_dense_and_the_other_axis():
    model = sequence((6, 4), L.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="e"), bn(axis=2), L.ReLU())
    assert_folds(model, ["bn"])
    model = sequence((6, 4), L.EinsumDense("abc,cd->abd", (6, 5)), bn(axis=1), L.ReLU())
    assert_folds(model, [], {"bn": "does not make the norm's axis 1 by its kernel alone"})
    model = sequence((6, 4), L.EinsumDense("abc,bcd->abd", (6, 5)), bn(axis=1), L.ReLU())
    assert_folds(model, [], {"bn": "does not make the norm's axis 1 by its kernel alone"})


def test_einsum_dense_that_sums_without_its_kernel():
    model = sequence((6, 4), L.ReLU(), bn(), L.EinsumDense("abc,cd->ad", (5,)))
    assert_folds(model, [], {"bn": "sums over an axis that its kernel has not"})


def test_time_distributed_layers_and_norms():
    td = L.TimeDistributed
    model = sequence((3, 6, 5, 2), td(L.Conv2D(4, 3), name="conv"), td(bn("inner"), name="bn"), L.ReLU())
    _, report = assert_folds(model, ["bn"])
    assert report.folded[0].into == ("conv",)
    assert_folds(sequence((3, 6, 5, 2), td(L.Conv2D(4, 3)), bn(), L.ReLU()), ["bn"])
    assert_folds(sequence((3, 6, 5, 2), L.ReLU(), bn(), td(L.AveragePooling2D(2)), td(L.Conv2D(4, 2))), ["bn"])
    assert_folds(sequence((3, 6, 4), td(L.Dense(3)), bn(axis=1), L.ReLU()), [], {"bn": "treats time steps alike"})
