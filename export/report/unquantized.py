"""The layers of a quantized file whose weights are not quantized, each with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_NAMED = 8  # in text; `to_dict` of the report has them all


@dataclass(frozen=True)
class Unquantized:
    """A layer that has weights in float: by what the file computes with them, how many numbers they are, and why."""

    layer: str
    operation: str
    numbers: int
    reason: str


def once_a_layer(found: Iterable[Unquantized]) -> tuple[Unquantized, ...]:
    """One entry for each layer and reason, with the numbers of all its weights, in the order in which layers run."""
    merged: dict[tuple[str, str], Unquantized] = {}
    for one in found:
        known = merged.get((one.layer, one.reason))
        numbers = one.numbers + (known.numbers if known else 0)
        merged[one.layer, one.reason] = Unquantized(one.layer, one.operation, numbers, one.reason)
    return tuple(merged.values())


def in_words(found: Iterable[Unquantized]) -> str:
    """The layers by reason, as in "'a', 'b' (why); 'c' (why)"."""
    by_reason: dict[str, list[str]] = {}
    for one in found:
        by_reason.setdefault(one.reason, []).append(f"'{one.layer}'")
    return "; ".join(f"{_listed(names)} ({reason})" for reason, names in by_reason.items())


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
