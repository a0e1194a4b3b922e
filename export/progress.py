"""What a waiting caller is told: the stage, and how much of it is done, of how much where that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

Progress = Callable[[str], Any]
T = TypeVar("T")


def silent(stage: str) -> None:
    """The progress function of a caller who asked for none."""


def size_of(items: Iterable[Any]) -> int | None:
    """How many items there are; None where nobody knows before they come, as of a generator or an endless dataset."""
    try:
        return len(items)  # type: ignore[arg-type]
    except TypeError:
        return None


def counted(items: Iterable[T], say: Progress, what: str, each: int = 1) -> Iterator[T]:
    """Yield the items, and say "what: 3 of 10" after each. One item counts for `each`."""
    total = size_of(items)
    for done, item in enumerate(items, 1):
        yield item
        say(f"{what}: {done * each}{'' if total is None else f' of {total * each}'}")
