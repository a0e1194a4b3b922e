"""Where a long sum is cut in two: arithmetic on sizes, apart from the graphs in which it is used.

n floats added one after another are off by up to n/2 units in the last place; a sum of a sums of b numbers each by
a/2 + b/2, which is least where a and b are alike. None stands for a size that is free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Sizes = Sequence[int | None]
_TYPICAL = 1024  # taken for a free size where sizes are weighed against each other


@dataclass(frozen=True)
class Limits:
    """How many numbers may be added up at once: over several axes, which part at no cost, and along a single one."""

    across: int
    along: int


# In float32, 4,096 numbers of one size lose 2e-5. In half precision, where a sum ends at 65504, 256 may reach 255; a
# half counts no further than 2,048, and what norms add along one axis was scaled to [-1, 1] before.
SINGLE, HALF = Limits(4096, 4096), Limits(256, 2048)


def too_long(counts: Sizes, limits: Limits) -> bool:
    """Whether a sum over axes of these sizes has to be cut; none of them is 1."""
    limit = limits.across if len(counts) > 1 else limits.along
    return _product(counts) > limit


def inner_axes(counts: Sizes) -> int:
    """How many of two or more reduced axes, counted from the last, are added up first."""

    def cost(inner: int) -> tuple[int, int]:
        parts = (counts[:-inner], counts[-inner:])
        # Of two cuts that are alike, the one that leaves less to add up in the second stage is faster.
        return max(math.prod(size or _TYPICAL for size in part) for part in parts), -inner

    return min(range(1, len(counts)), key=cost)


def factors(count: int, limit: int) -> tuple[int, int]:
    """a and b, of which the larger is as small as can be: a * b is `count`, or a little more where `count` has no two
    factors up to `limit`."""
    a = max(n for n in range(1, math.isqrt(count) + 1) if count % n == 0)
    if count // a <= limit:
        return a, count // a
    a = math.isqrt(count - 1) + 1
    return a, -(-count // a)


def window(size: int, stride: int) -> int:
    """The length of a first window such that windows of its results make one of `size`; 1 if there is none."""
    both = math.gcd(size, stride)
    return min((n for n in range(1, both + 1) if both % n == 0), key=lambda n: max(n, size // n))


def longest(counts: Sizes, limits: Limits) -> float:
    """How many numbers are added up at once after all cuts."""
    if not too_long(counts, limits):
        return _product(counts)
    if len(counts) > 1:
        inner = inner_axes(counts)
        return max(longest(counts[:-inner], limits), longest(counts[-inner:], limits))
    return math.inf if counts[0] is None else max(factors(counts[0], limits.along))


def _product(counts: Sizes) -> float:
    return math.inf if None in counts else math.prod(size for size in counts if size is not None)
