"""A row of the coverage table: a small model in one line of code, and what its inputs hold.

The code of a row is its name, so that who reads the table can run it. It is evaluated with the inputs under their names
(`x`, `y`, ...) and with `layers`, `ops`, `activations` (of Keras), `keras`, `pack` (keras_norms) and `np`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FREE_SIZE = 8  # what a free size is when data are drawn


@dataclass(frozen=True)
class Given:
    """An input: its shape without the batch, and between which numbers its values lie if the operation needs that."""

    shape: tuple[int | None, ...]
    low: float | None = None
    high: float | None = None
    dtype: str = "float32"
    batch: int | None = None

    @property
    def limited(self) -> bool:
        return self.low is not None

    def __str__(self) -> str:
        shape = "(" + ", ".join("free" if n is None else str(n) for n in self.shape) + ("," * (len(self.shape) == 1))
        words = [shape + ")", *([self.dtype] if self.dtype != "float32" else [])]
        words += [f"in batches of {self.batch}"] if self.batch else []
        words += [f"{self.low:g} to {self.high:g}"] if self.limited else []
        return " ".join(words)

    def values(self, rng: Any, rows: int) -> Any:
        """Seeded data: `rows` examples."""
        shape = (self.batch or rows, *(FREE_SIZE if n is None else n for n in self.shape))
        if self.dtype == "bool":
            return rng.random(shape) < 0.7
        if self.dtype == "string":
            return rng.choice(["a", "b", "z"], shape)
        if self.dtype.startswith(("int", "uint")):
            low, high = (self.low, self.high) if self.limited else (0, 8)
            return rng.integers(int(low), int(high) + 1, shape).astype(self.dtype)
        if self.limited:
            return rng.uniform(self.low, self.high, shape).astype(self.dtype)
        return rng.normal(size=shape).astype(self.dtype)


@dataclass(frozen=True)
class Row:
    """`kind` is the table it stands in; `make` builds a model that is not one line of code."""

    kind: str
    code: str
    inputs: tuple[tuple[str, Given], ...] = ()
    make: Callable[[], Any] | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}: {self.code}" + (f" on {self.on}" if self.inputs else "")

    @property
    def on(self) -> str:
        return ", ".join(f"{name} {given}" for name, given in self.inputs)

    @property
    def public_names(self) -> list[str]:
        """The names of Keras and of the pack that the code uses, such as `layers.Dense` and `ops.image.resize`."""
        return re.findall(r"\b(?:layers|ops|activations|pack)\.[A-Za-z_][\w.]*", self.code)


def rows(kind: str, code: str, **inputs: Given) -> tuple[Row, ...]:
    """A row for each line of `code`, all on the same inputs; those that a line does not use are left out of its row."""
    made = []
    for line in filter(None, map(str.strip, code.splitlines())):
        used = tuple((name, given) for name, given in inputs.items() if re.search(rf"\b{name}\b(?!\s*=[^=])", line))
        made.append(Row(kind, line, used))
    return tuple(made)


VECTOR = Given((12,))
SERIES, FREE_SERIES = Given((10, 8)), Given((None, 8))
IMAGE, FREE_IMAGE = Given((8, 8, 8)), Given((None, None, 8))
VOLUME, FREE_VOLUME = Given((6, 6, 6, 4)), Given((None, None, None, 4))
COLOURS = Given((8, 8, 3), 0, 1)
PIXELS = Given((8, 8, 3), 0, 255)
