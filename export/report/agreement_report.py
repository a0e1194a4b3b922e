"""How far two runtimes are apart on a file whose outputs are integers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Apart:
    """Of `numbers` integers that runtime `first` gave on the inputs tried, `other` gave `count` otherwise.

    `steps` is the largest difference.
    """

    first: str
    other: str
    numbers: int
    count: int
    steps: int

    def __str__(self) -> str:
        if not self.count:
            return f"{self.other} gives the same {self.numbers:,} integers as {self.first}"
        steps = "a step" if self.steps == 1 else f"{self.steps:,} steps"
        return (
            f"of {self.numbers:,} integers that {self.first} gives, {self.other} gives {self.count:,} otherwise, by at "
            f"most {steps}"
        )
