"""The weight algebra against direct evaluation in float64."""

import numpy as np
import pytest
from keras_norms.export.folding.affine import (
    Affine,
    add_bias,
    identity,
    input_scale_grouped,
    normalization,
    reshaped,
    scale_axis,
    scale_output_bias,
    tap_sum,
)

RNG = np.random.default_rng(0)


def affine(size, axis=-1):
    return Affine(RNG.normal(size=size), RNG.normal(size=size), axis)


def applied(map_, z):
    shape = [1] * z.ndim
    shape[map_.axis] = len(map_)
    return z * map_.scale.reshape(shape) + map_.shift.reshape(shape)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_normalization_is_batch_norm_in_inference(center, scale):
    z, mean, var = RNG.normal(size=(7, 4)), RNG.normal(size=4), RNG.uniform(0.1, 2.0, 4)
    gamma = RNG.normal(size=4) if scale else None
    beta = RNG.normal(size=4) if center else None
    expected = (z - mean) / np.sqrt(var + 1e-3) * (1.0 if gamma is None else gamma) + (0.0 if beta is None else beta)
    assert np.allclose(applied(normalization(gamma, beta, mean, var, 1e-3, 1), z), expected, rtol=1e-14)


def test_float32_weights_are_widened_before_anything_is_computed():
    gamma, var = np.float32([1.1, 2.2]), np.float32([0.3, 0.7])
    map_ = normalization(gamma, None, np.zeros(2, "float32"), var, 1e-3, 0)
    assert map_.scale.dtype == map_.shift.dtype == np.float64
    assert np.array_equal(map_.scale, gamma.astype("float64") / np.sqrt(var.astype("float64") + 1e-3))


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_grouped_kernels_see_the_map_of_their_own_inputs(groups):
    kernel, map_ = RNG.normal(size=(3, 6 // groups, 12)), affine(6)
    z = RNG.normal(size=(3, 6))

    def convolved(kernel, z):
        parts = zip(np.split(kernel, groups, axis=-1), np.split(z, groups, axis=-1), strict=True)
        return np.concatenate([np.einsum("kio,ki->o", k, part) for k, part in parts])

    scaled, gain = input_scale_grouped(kernel, map_, groups)
    assert np.allclose(convolved(scaled, z) + gain, convolved(kernel, applied(map_, z)), rtol=1e-12)


def test_scale_axis_and_tap_sum():
    kernel = RNG.normal(size=(2, 3, 4, 5))
    assert np.array_equal(scale_axis(kernel, np.arange(4.0), -2)[:, :, 2], 2.0 * kernel[:, :, 2])
    assert np.allclose(tap_sum(kernel), kernel.sum((0, 1)))


def test_a_bias_appears_only_where_it_is_needed():
    shifted, straight = affine(3), Affine(np.ones(3) * 2.0, np.zeros(3), 0)
    assert scale_output_bias(None, straight) is None
    assert np.array_equal(scale_output_bias(None, shifted), shifted.shift)
    assert np.array_equal(scale_output_bias(np.ones(3), straight), np.full(3, 2.0))
    assert add_bias(None, np.zeros(3)) is None
    assert np.array_equal(add_bias(np.ones(3), np.ones(3)), np.full(3, 2.0))


@pytest.mark.parametrize(
    ("axis", "shape", "target", "expected"),
    [
        (3, (None, 3, 2, 4), (None, 6, 4), 2),
        (3, (None, 3, 2, 4), (None, 24), 1),
        (1, (None, 4, 3, 2), (None, 24), 1),
        (2, (None, 3, 2, 4), (None, 24), 1),
        (1, (None, 4), (None, 1, 1, 4), 3),
        (1, (None, 4, 3), (None, 4, 3, 1), 1),
        (1, (None, 24), (None, 3, 2, 4), None),
        (2, (None, 3, 4), (None, 4, 3), None),
        (3, (None, None, None, 4), (None, None, 4), 2),
        (1, (None, 4, None), (None, None, 4), None),
    ],
)
def test_reshaped(axis, shape, target, expected):
    map_ = affine(int(shape[axis]), axis)
    through = reshaped(map_, shape, target)
    assert (None if through is None else through.axis) == expected
    if through is not None and None not in shape[1:]:
        z = RNG.normal(size=(2, *shape[1:]))
        assert np.array_equal(applied(through, z.reshape(2, *target[1:])), applied(map_, z).reshape(2, *target[1:]))


def test_reshaping_back_needs_the_same_map_at_every_position():
    tiled = Affine(np.tile(np.arange(4.0), 6), np.zeros(24), 1)
    through = reshaped(tiled, (None, 24), (None, 3, 2, 4))
    assert through.axis == 3
    assert np.array_equal(through.scale, np.arange(4.0))


def test_questions():
    assert identity(3, 1).same(identity(3, 1))
    assert not identity(3, 1).same(identity(3, 2))
    assert not affine(3).without_shift().has_shift
    assert Affine(np.array([0.0, 1.0]), np.zeros(2), 0).is_monotone
    assert not Affine(np.array([-1e-30, 1.0]), np.zeros(2), 0).is_monotone
    assert len(affine(5).part(1, 3)) == 2
