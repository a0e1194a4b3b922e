"""The bits of the weights: at every size nothing else adds less noise, as trying everything shows."""

import itertools
import math

import numpy as np
import pytest
from keras_norms.export.budget import allocation
from keras_norms.export.budget.allocation import Allocation, Cost

BITS = (16, 8, 4)


def costs_of(weights, seed):
    """Weights of several sizes, the noisier the fewer bits."""
    rng = np.random.default_rng(seed)
    sizes, noises = rng.integers(100, 5000, weights), 10 ** rng.uniform(-6, -2, (weights, 3))
    noises.sort(axis=1)
    return [
        {bits: Cost(int(size * (32 - bits) / 8), float(noise)) for bits, noise in zip(BITS, row, strict=True)}
        for size, row in zip(sizes, noises, strict=True)
    ]


def total(costs, bits):
    chosen = [costs[i][b] for i, b in bits.items() if b != 32]
    return sum(cost.saved for cost in chosen), math.fsum(cost.noise for cost in chosen)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_that_saves_as_much_has_less_noise(seed, monkeypatch):
    monkeypatch.setattr(allocation, "_MOST_UNITS", 1 << 20)  # so that a unit is a byte
    costs = costs_of(5, seed)
    found = Allocation(costs)
    everything = [total(costs, dict(enumerate(bits))) for bits in itertools.product((32, *BITS), repeat=5)]
    assert found.reachable == found.most == max(saved for saved, _ in everything)
    for wanted in np.linspace(0, found.most, 40).astype(int):
        saved, noise = total(costs, found.bits(wanted))
        assert saved >= wanted
        assert noise == pytest.approx(min(n for s, n in everything if s >= wanted), rel=1e-12, abs=0)


def test_coarser_units_still_save_enough(monkeypatch):
    monkeypatch.setattr(allocation, "_MOST_UNITS", 100)
    costs = costs_of(12, 7)
    found, exact = Allocation(costs), sum(max(cost.saved for cost in known.values()) for known in costs)
    assert 0.8 * exact < found.reachable <= exact
    for wanted in np.linspace(0, found.reachable, 30).astype(int):
        assert total(costs, found.bits(wanted))[0] >= wanted


def test_nothing_is_saved_for_nothing_and_no_more_than_there_is():
    found = Allocation(costs_of(3, 1))
    assert found.bits(0) == {}
    assert found.bits(-5) == {}
    with pytest.raises(ValueError, match="at most"):
        found.bits(found.most + 1)


def test_a_form_that_saves_nothing_is_never_taken():
    """As 8 bits of a weight whose scales take as much room as its numbers."""
    found = Allocation([{16: Cost(10, 1e-6), 8: Cost(-5, 0.0), 4: Cost(0, 0.0)}])
    assert found.bits(1) == {0: 16}
    assert found.most == 10


def test_a_coarser_form_with_less_noise_is_taken_at_once():
    assert Allocation([{16: Cost(10, 1e-3), 8: Cost(20, 1e-4)}]).bits(5) == {0: 8}


def test_without_weights_there_is_nothing_to_choose():
    assert Allocation([]).bits(0) == {}
    assert Allocation([{}, {}]).reachable == 0
