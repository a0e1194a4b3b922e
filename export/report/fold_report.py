"""The report of a fold: which norms were merged into which layers, and which stayed and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .strict_json import strict_json
from .text_table import table, text


@dataclass(frozen=True)
class Folded:
    """A norm that was merged into other layers, or whose gamma and beta were, and the rule that allowed it.

    `error` is the largest difference that the fold makes where its effect shows, relative to the scale there;
    `multiply_adds_saved` counts those of one sample, None if a size of the model is free.
    """

    norm: str
    into: tuple[str, ...]
    rule: str
    error: float | None = None
    multiply_adds_saved: int | None = None


@dataclass(frozen=True)
class Kept:
    """A norm that stayed, and why."""

    norm: str
    reason: str


@dataclass(frozen=True)
class FoldReport:
    """What `fold` did to each norm of a model.

    Attributes:
        model: the model's name.
        folded: a record for each norm that was merged into other layers' weights.
        kept: a record for each batch norm that stayed.
        tails: a record for each layer, RMS, group or instance norm that stayed without its gamma and beta.
        parameters_before: the number of weights of the model.
        parameters_after: the number of weights of the folded model.
        notes: what was done to read the model, where it was no plain graph of layers.
    """

    model: str
    folded: list[Folded] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    tails: list[Folded] = field(default_factory=list)
    parameters_before: int = 0
    parameters_after: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def error(self) -> float:
        """The largest relative error of any fold; 0 if nothing was folded."""
        return max((f.error or 0.0 for f in (*self.folded, *self.tails)), default=0.0)

    @property
    def multiply_adds_saved(self) -> int | None:
        """Multiply-adds of one sample that the folds save; None if a size of the model is free."""
        saved = [f.multiply_adds_saved for f in self.folded]
        return None if None in saved else sum(n for n in saved if n is not None)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {**asdict(self), "multiply_adds_saved": self.multiply_adds_saved}

    def to_json(self) -> str:
        """The report as JSON text."""
        return strict_json(self.to_dict())

    def __str__(self) -> str:
        total = len(self.folded) + len(self.kept)
        saved = self.parameters_before - self.parameters_after
        lines = [f"{self.model}: {len(self.folded)} of {total} batch norms folded"]
        if saved:
            lines[0] += f", {self.parameters_before:,} -> {self.parameters_after:,} parameters (-{saved:,})"
        if self.multiply_adds_saved:
            lines[0] += f", -{self.multiply_adds_saved:,} multiply-adds a sample"
        for head, records in (("folded", self.folded), ("gamma and beta of", self.tails)):
            if records:
                rows = [
                    (f.norm, ", ".join(f.into), f.rule, "" if f.error is None else f"{f.error:.1e}") for f in records
                ]
                lines += ["", table((head, "into", "rule", "error"), rows)]
        if self.kept:
            lines += ["", table(("kept", "why"), [(k.norm, k.reason) for k in self.kept])]
        if self.notes:
            lines += ["", *(f"note: {note}" for note in self.notes)]
        return text(lines)
