"""The weights of a file in floats, any of which can be stored in fewer bits: what a budget is spent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

FLOAT = 32  # bits
FEWEST = 512  # numbers in a weight that is worth storing otherwise
EXAMPLES = 64  # that roundings are made for: more gain little


@dataclass(frozen=True)
class Weight:
    """One constant of a file: the layer that it is of, its own name, its shape, and the bits that it can have.

    `bits` begins with 32, the float that it is, and falls.
    """

    layer: str
    name: str
    shape: tuple[int, ...]
    bits: tuple[int, ...]


class StoredWeights(Protocol):
    """The weights of one file. A format's `stored_weights` makes it."""

    weights: tuple[Weight, ...]

    def write(self, bits: Mapping[int, int], target: Path) -> None:
        """Write the file to `target`, each weight, by its position, in the given bits, the others in floats."""
        ...
