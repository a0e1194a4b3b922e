"""Sizes of axes that are not all known: integers, and a n + b for a free size n."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import onnx_ir as ir


@dataclass(frozen=True)
class FreeSize:
    """factor n + offset, where n is the size of `value` along `axis`."""

    value: ir.Value
    axis: int
    factor: int = 1
    offset: int = 0


Size: TypeAlias = "int | FreeSize | None"  # None: unknown


def plus(a: Size, b: Size, sign: int = 1) -> Size:
    """a + b, or a - b with a `sign` of -1; None where that hangs on two free sizes."""
    if a is None or b is None:
        return None
    if isinstance(b, int):
        return a + sign * b if isinstance(a, int) else replace(a, offset=a.offset + sign * b)
    if isinstance(a, int):
        return plus(times(b, sign), a)
    if (a.value, a.axis) != (b.value, b.axis):
        return None
    factor, offset = a.factor + sign * b.factor, a.offset + sign * b.offset
    return replace(a, factor=factor, offset=offset) if factor else offset


def times(a: Size, b: Size) -> Size:
    """a b; None where both are free."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if isinstance(a, int):
        a, b = b, a
    if isinstance(a, FreeSize) and isinstance(b, int) and b:
        return replace(a, factor=a.factor * b, offset=a.offset * b)
    return None


def same_sizes(target: list[Size] | None, wanted: list[Size] | None) -> bool:
    """Whether a Reshape to `target` gives `wanted`, of which one size may have been left to it as -1."""
    if target is None or wanted is None or len(target) != len(wanted):
        return False
    differ = [a for a, b in zip(target, wanted, strict=True) if a is None or a != b]
    return not differ or (len(differ) == 1 and differ[0] == -1)


def whole_numbers(sizes: list[Size] | None) -> list[int] | None:
    """`sizes` where all of them are integers, or None."""
    known = [n for n in sizes or () if isinstance(n, int)]
    return known if sizes is not None and len(known) == len(sizes) else None
