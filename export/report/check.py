"""One output of one run of an artifact beside its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One output of one run. `relative` is max |artifact - model| / max |model|; `allowed` is the largest that passes.

    In a quantized file `floor_db`, the least signal to noise ratio, decides instead, and on inputs that it was not made
    for it must only be finite: `judged_for`. `problem` says why the output cannot be the model's whatever its numbers
    are: its shape or dtype differs, or it is another of the model's outputs. `why` says why more than the tolerance is
    allowed.
    """

    case: str
    runtime: str
    output: str
    max_abs: float
    scale: float
    relative: float
    sqnr_db: float
    allowed: float
    floor_db: float | None
    ok: bool
    problem: str | None = None
    judged_for: Literal["numbers", "finite"] = "numbers"
    why: str | None = None

    @property
    def limit(self) -> str:
        """The limit as a report prints it."""
        if self.judged_for == "finite":
            return "finite"
        return f"{self.allowed:.0e}" if self.floor_db is None else f">= {self.floor_db:.0f} dB"


@dataclass(frozen=True)
class OutputReport:
    """The worst figures of an output over all runs that were judged by their numbers; `ok` is about every run."""

    max_abs: float
    relative: float
    sqnr_db: float
    ok: bool

    @classmethod
    def of(cls, checks: list[Check]) -> OutputReport:
        measured = [check for check in checks if check.judged_for == "numbers"] or checks
        return cls(
            max_abs=max(check.max_abs for check in measured),
            relative=max(check.relative for check in measured),
            sqnr_db=min(check.sqnr_db for check in measured),
            ok=all(check.ok for check in checks),
        )
