"""Sizes and times as people write them: "1.5 MB", "200 us", "15 min"."""

from __future__ import annotations

import math
import re

SIZES = {
    "B": 1,
    "kB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}
MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class NoQuantityError(ValueError):
    """What was given is no positive number, or has none of the units."""


def quantity(value: object, units: dict[str, float] | dict[str, int]) -> float:
    """A positive number with one of the units.

    Raises:
        NoQuantityError: If it is none.
    """
    found = re.fullmatch(r"(\d+(?:[.]\d+)?)\s*([A-Za-z]+)", value.strip()) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise NoQuantityError("no number with a unit")
    return positive(float(found[1]) * units[found[2]])


def positive(value: object) -> float:
    """A finite number above zero.

    Raises:
        NoQuantityError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise NoQuantityError("no number above 0")
    return float(value)
