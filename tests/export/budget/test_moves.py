"""The order in which weights give up bits: at every size on the way nothing else adds less noise."""

import itertools
import math

import numpy as np
import pytest
from keras_norms.export.budget.moves import Cost, bits_after, in_order, undone

BITS = (16, 8, 4)


def costs_of(weights, seed):
    """Weights of several sizes, each some thousand times as noisy at 4 bits as at 8."""
    rng = np.random.default_rng(seed)
    sizes, noises = rng.integers(100, 5000, weights), 10 ** rng.uniform(-6, -2, (weights, 3))
    noises.sort(axis=1)
    return [
        {bits: Cost(-int(size * (32 - bits) / 8), float(noise)) for bits, noise in zip(BITS, row, strict=True)}
        for size, row in zip(sizes, noises, strict=True)
    ]


def total(costs, bits):
    chosen = [costs[i][b] for i, b in bits.items() if b != 32]
    return sum(cost.size for cost in chosen), math.fsum(cost.noise for cost in chosen)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_choice_of_at_most_the_size_has_less_noise(seed):
    costs = costs_of(5, seed)
    moves = in_order(costs)
    everything = [total(costs, dict(enumerate(bits))) for bits in itertools.product((32, *BITS), repeat=5)]
    for k in range(len(moves) + 1):
        size, noise = total(costs, bits_after(moves[:k]))
        assert noise <= min(n for s, n in everything if s <= size) * (1 + 1e-9)


def test_the_last_step_of_every_weight_is_its_smallest_form():
    costs = costs_of(20, 9)
    assert bits_after(in_order(costs)) == dict.fromkeys(range(20), 4)


def test_a_form_that_saves_nothing_is_no_step():
    """As 4 bits of a weight whose scales take as much room as its numbers."""
    (move,) = in_order([{16: Cost(-10, 1e-6), 8: Cost(5, 1e-4), 4: Cost(-10, 1e-2)}])
    assert (move.bits, move.saved) == (16, 10)


def test_a_coarser_form_without_more_noise_is_taken_at_once():
    (move,) = in_order([{16: Cost(-10, 1e-3), 8: Cost(-20, 1e-4)}])
    assert move.bits == 8


def test_bytes_left_over_go_to_the_noisiest_weight_that_they_pay_for():
    costs = [{8: Cost(-100, 1e-5), 4: Cost(-150, 1e-2)}, {8: Cost(-1000, 1e-5), 4: Cost(-1500, 1e-1)}]
    moves = in_order(costs)
    assert bits_after(moves) == {0: 4, 1: 4}
    assert bits_after(undone(moves, 60)) == {0: 8, 1: 4}
    assert bits_after(undone(moves, 520)) == {0: 4, 1: 8}
    assert bits_after(undone(moves, 560)) == {0: 8, 1: 8}
    assert bits_after(undone(moves, 10_000)) == {}
