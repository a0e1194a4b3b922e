"""Rounding to few bits: never worse than the nearest steps, on the grid, and at a scale that loses least."""

import numpy as np
import pytest
from keras_norms.export.quantization.grid import LAST, best_scale, in_bits, to_grid
from keras_norms.export.quantization.patches import Patches, Window, rows


def correlated(count, size, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 4)) @ rng.normal(size=(4, size)) + 0.1 * rng.normal(size=(count, size))


@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_rounded_for_its_inputs_loses_less_on_others_like_them(bits):
    x, others = correlated(2000, 48), correlated(2000, 48)[::-1]
    w = np.random.default_rng(1).normal(size=(10, 48))
    moments = x[:1000].T @ x[:1000] / 1000
    lost = {}
    for name, given in (("nearest", None), ("output", moments)):
        steps, scale = in_bits(w, bits, given)
        assert steps.dtype == np.int8
        assert np.abs(steps).max() <= LAST[bits]
        lost[name] = np.square(others[:1000] @ (steps * scale[:, None] - w).T).mean()
    assert lost["output"] < 0.3 * lost["nearest"]


def test_the_scale_clips_a_row_with_an_outlier_and_no_other():
    w = np.random.default_rng(0).normal(size=(2, 4000))
    w[1] = np.sign(w[1])
    w[0, 0] = 8.0
    scale = best_scale(w, None, 7)
    assert scale[0] < 0.8 * 8 / 7
    assert scale[1] == pytest.approx(1 / 7)


def test_a_weight_that_no_input_reaches_is_rounded_as_the_others_are():
    w = np.random.default_rng(0).normal(size=(3, 6))
    moments = np.diag([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    steps = to_grid(w, moments, np.abs(w).max(axis=1) / 127, 127)
    np.testing.assert_allclose(steps * np.abs(w).max(axis=1)[:, None] / 127, w, atol=0.02)


def test_a_row_of_zeros_stays_one():
    steps, scale = in_bits(np.zeros((2, 5)), 4)
    assert not steps.any()
    assert (scale > 0).all()


@pytest.mark.parametrize("padding", [((1, 0), (2, 1)), ((0, 0), (0, 0)), "same"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_patches_are_what_a_convolution_multiplies(padding, strides):
    """Against a convolution that is written as loops."""
    rng = np.random.default_rng(0)
    x, kernel, dilations = rng.normal(size=(2, 7, 9, 3)), (2, 3), (2, 1)
    if padding == "same":
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        over = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip((7, 9), strides, reach, strict=True)]
        padded = np.pad(x, ((0, 0), *((p // 2, p - p // 2) for p in over), (0, 0)))
    else:
        padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    patches = Patches(18, Window(kernel, strides, dilations, padding).patches, 1)
    expected = [
        [padded[n, i + 2 * a, j + b, c] for a in range(2) for b in range(3) for c in range(3)]
        for n in range(2)
        for i in range(0, padded.shape[1] - 2, strides[0])
        for j in range(0, padded.shape[2] - 2, strides[1])
    ]
    np.testing.assert_array_equal(patches.cut(x), expected)


def test_moments_are_means_over_all_batches():
    x = np.random.default_rng(0).normal(size=(50, 2, 3))
    patches = Patches(3, lambda *given: rows(*given, size=3), 50)
    for one in x:
        patches.add(one[None])
    products, means = patches.moments()
    flat = x.reshape(-1, 3)
    np.testing.assert_allclose(products, flat.T @ flat / 100)
    np.testing.assert_allclose(means, flat.mean(axis=0))
