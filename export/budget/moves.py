"""In which order weights give up bits: always that step next which adds the least noise for the bytes that it saves.

One weight alone in fewer bits adds noise n = |y - y'|^2 / |y|^2 to the outputs and saves s bytes; the noise of several
adds up, as it does while it is small. Then the files that are best for their size are those that minimize

    sum of n + lambda * sum of bytes

for some lambda: each weight steps down along the lower convex hull of its (bytes, noise), and all steps together are
taken in the order of their slopes, as in the allocation of bits in image coding (Shoham and Gersho 1988).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a weight costs at a number of bits: the bytes of the file more or less than in floats, and the noise."""

    size: int
    noise: float


@dataclass(frozen=True)
class Move:
    """One step: the weight at `position` goes to `bits`, which adds `noise` and saves `saved` bytes."""

    position: int
    bits: int
    saved: int
    noise: float

    @property
    def slope(self) -> float:
        return self.noise / self.saved


def in_order(costs: Sequence[Mapping[int, Cost]]) -> list[Move]:
    """The steps from a file of floats to the smallest one; `costs` has those of each weight at 16 bits and fewer."""
    moves = [move for position, known in enumerate(costs) for move in _down_the_hull(position, known)]
    return sorted(moves, key=lambda move: move.slope)  # stable: slopes of one weight never fall


def _down_the_hull(position: int, costs: Mapping[int, Cost]) -> list[Move]:
    at, moves = Cost(0, 0.0), []
    while smaller := {bits: cost for bits, cost in costs.items() if cost.size < at.size}:

        def slope(bits: int, at: Cost = at) -> float:
            return (costs[bits].noise - at.noise) / (at.size - costs[bits].size)

        bits = min(smaller, key=lambda bits: (slope(bits), -bits))
        cost = smaller[bits]
        moves.append(Move(position, bits, at.size - cost.size, max(cost.noise - at.noise, 0.0)))
        at = cost
    return moves


def bits_after(moves: Sequence[Move]) -> dict[int, int]:
    """The bits of each weight that has moved."""
    return {move.position: move.bits for move in moves}  # the last of a weight is the lowest


def undone(moves: Sequence[Move], room: int) -> list[Move]:
    """`moves` without those whose bytes fit into `room`, the noisiest first: only the last of a weight can go."""
    kept = list(moves)
    for move in sorted(moves, key=lambda move: -move.noise):
        last = next(other for other in reversed(kept) if other.position == move.position) is move
        if last and move.saved <= room:
            kept.remove(move)
            room -= move.saved
    return kept
