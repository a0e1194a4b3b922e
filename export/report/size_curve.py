"""Size against signal to noise ratio: what `quantize="auto"` tried, what it chose, and the bits of every weight."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ExportError
from .layer_trace import PLOTS, decibels
from .size_chart import save_chart
from .strict_json import strict_json
from .text_table import Block, table, text


@dataclass(frozen=True)
class SizePoint:
    """One file that was made and measured: `size_bytes`, and `sqnr_db`, the lowest ratio of an output in any runtime.

    `name` is "mixed", for weights of several widths, or one of the fixed modes. A mode that has no file says why in
    `refused`.
    """

    name: str
    size_bytes: int = 0
    sqnr_db: float = 0.0
    refused: str | None = None


@dataclass(frozen=True)
class WeightBits:
    """The bits of a weight in the file. `alone_db` is the ratio if only this weight had so many bits, by bits."""

    layer: str
    weight: str
    numbers: int
    bits: int
    alone_db: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SizeCurve:
    """The result of `quantize="auto"`: `report.budget`.

    `budget` is what was asked for, in words, and `data` what the ratios are of. `mixed` are files along the curve, from
    the largest to the smallest, and `modes` those of the fixed modes; `chosen` is the one that was written. `weights`
    is empty where that is a fixed mode's.
    """

    FILES: ClassVar = ["file", "bytes", "SQNR dB", ""]
    HEADER: ClassVar = ["layer", "weight", "numbers", "bits", "SQNR of this alone, dB"]

    budget: str
    data: str
    chosen: SizePoint
    mixed: tuple[SizePoint, ...]
    modes: tuple[SizePoint, ...]
    weights: tuple[WeightBits, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def to_json(self) -> str:
        """JSON text; the infinite ratio of an exact file becomes null."""
        return strict_json(self.to_dict())

    def save_plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw size against ratio; the suffix (.png, .svg, .pdf) says as what.

        Raises:
            ExportError: If the suffix is another one.
            ModuleNotFoundError: If matplotlib is not installed; says how to install it.
            OSError: If the file cannot be written.
        """
        path = Path(path)
        if path.suffix.lower() not in PLOTS:
            raise ExportError(f"A plot must end in {', '.join(PLOTS)}; got '{path.name}'. Rename it.")
        return save_chart(self, path)

    def points(self) -> list[list[str]]:
        """The cells of the table of files: what it is, its bytes, its ratio."""
        found = sorted((*self.mixed, *self.modes), key=lambda point: -point.size_bytes)
        return [_point(point, chosen=point == self.chosen) for point in found]

    def rows(self) -> list[list[str]]:
        """The cells of the table of weights, under `HEADER`."""
        return [
            [
                w.layer,
                w.weight,
                f"{w.numbers:,}",
                str(w.bits),
                ", ".join(f"{b}: {decibels(d)}" for b, d in w.alone_db.items()),
            ]
            for w in self.weights
        ]

    @property
    def title(self) -> str:
        """What was asked for and what was chosen, in a line."""
        size, ratio = self.chosen.size_bytes, decibels(self.chosen.sqnr_db)
        exactness = ratio if ratio == "exact" else f"{ratio} dB"
        return f"Budget: {self.budget}. Written: {self.chosen.name}, {size:,} bytes, {exactness} on {self.data}"

    def __str__(self) -> str:
        parts = [self.title, Block(table(self.FILES, self.points()))]
        return text([*parts, Block(table(self.HEADER, self.rows()))] if self.weights else parts)


def _point(point: SizePoint, chosen: bool) -> list[str]:
    if point.refused is not None:
        return [point.name, "-", "-", point.refused]
    return [point.name, f"{point.size_bytes:,}", decibels(point.sqnr_db), "<- written" if chosen else ""]
