"""What `recalibrate` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_norms._text_table import text_table


@dataclass(frozen=True)
class RecalibratedNorm:
    """A norm with new statistics.

    Attributes:
        norm: the norm's name.
        positions: how many values of each channel the statistics are of.
        mean_moved: by how many of its old deviations the mean of a channel moved, in the channel where it moved most.
        deviation_smallest, deviation_largest: new deviation over old deviation, in the channels where it is least and
            most.
    """

    norm: str
    positions: int
    mean_moved: float
    deviation_smallest: float
    deviation_largest: float


@dataclass(frozen=True)
class RecalibrateReport:
    """What `recalibrate` did to each batch norm of a model.

    Attributes:
        norms: a record for each norm with new statistics.
        left: (norm, reason) for each batch norm that was left alone.
        batches: how many batches were read.
        samples: how many samples they held.
    """

    norms: tuple[RecalibratedNorm, ...]
    left: tuple[tuple[str, str], ...]
    batches: int
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        total = len(self.norms) + len(self.left)
        if not total:
            return "There are no batch norms to recalibrate."
        text = (
            f"{len(self.norms)} of {total} batch norms recalibrated on {self.samples:,} samples "
            f"in {self.batches:,} batches"
        )
        if self.norms:
            rows = [
                [
                    n.norm,
                    f"{n.positions:,}",
                    f"{n.mean_moved:.3g} deviations",
                    f"{n.deviation_smallest:.3g} to {n.deviation_largest:.3g} times",
                ]
                for n in self.norms
            ]
            text += "\n\n" + text_table(["norm", "positions", "mean moved by", "deviation became"], rows)
        if self.left:
            text += "\n\n" + text_table(["left alone", "why"], [list(row) for row in self.left])
        return text
