"""What `quantize="auto"` is to keep to: a number of bytes, of decibels, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

from ..errors import ExportError

AUTO = "auto"


@dataclass(frozen=True)
class Budget:
    """The most bytes that a file may have, and the least signal to noise ratio of any of its outputs.

    With `min_db`, the smallest file that has it is looked for; without, the most exact one of at most `max_bytes`.
    """

    max_bytes: int | None = None
    min_db: float | None = None

    @classmethod
    def of(cls, quantize: str | None, max_bytes: int | None, min_db: float | None) -> Budget | None:
        """The budget of a call; None where it asks for none.

        Raises:
            ExportError: If a limit is no number that can be kept, if "auto" has none, or if another mode has one.
        """
        given = {name: value for name, value in (("max_bytes", max_bytes), ("min_db", min_db)) if value is not None}
        if quantize != AUTO:
            if given:
                raise ExportError(f"{next(iter(given))} is for quantize='auto'; quantize is {quantize!r}. Change one.")
            return None
        if not given:
            raise ExportError(
                "quantize='auto' needs max_bytes=, the most bytes that the file may have, or min_db=, the least signal "
                "to noise ratio of its outputs, or both."
            )
        if max_bytes is not None and (
            not isinstance(max_bytes, Integral) or isinstance(max_bytes, bool) or max_bytes < 1
        ):
            raise ExportError(f"max_bytes must be a positive integer; got {max_bytes!r}.")
        finite = isinstance(min_db, Real) and not isinstance(min_db, bool) and math.isfinite(min_db) and min_db > 0
        if min_db is not None and not finite:
            raise ExportError(f"min_db must be a positive, finite number of decibels; got {min_db!r}.")
        return cls(None if max_bytes is None else int(max_bytes), None if min_db is None else float(min_db))

    def allows(self, size: int, db: float) -> bool:
        """Whether a file of so many bytes and decibels keeps to it."""
        return (self.max_bytes is None or size <= self.max_bytes) and (self.min_db is None or db >= self.min_db)

    def prefers(self, size: int, db: float) -> tuple[float, float]:
        """What is least for the best of the files that keep to it."""
        return (float(size), -db) if self.min_db is not None else (-db, float(size))

    def __str__(self) -> str:
        limits = [] if self.max_bytes is None else [f"at most {self.max_bytes:,} bytes"]
        return " and ".join(limits if self.min_db is None else [*limits, f"at least {self.min_db:g} dB"])
