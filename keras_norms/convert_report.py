"""What `convert_norms` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from keras_norms._text_table import text_table


@dataclass(frozen=True)
class ConvertedNorm:
    """A norm that another one replaces.

    Attributes:
        norm: the norm's name, which the new one has too.
        was, became: what they are.
        exact: whether the model computes in inference what it did, but for rounding.
        weights: what became of gamma, beta and the statistics.
    """

    norm: str
    was: str
    became: str
    exact: bool
    weights: str


@dataclass(frozen=True)
class ConvertReport:
    """What `convert_norms` did to each norm of a model.

    Attributes:
        converted: a record for each norm that was replaced.
        kept: (norm, reason) for each that was to be converted and stayed.
        notes: what else the new model does not have of the old one.
    """

    converted: tuple[ConvertedNorm, ...]
    kept: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether the model computes in inference what it did, but for rounding."""
        return all(norm.exact for norm in self.converted)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {**asdict(self), "exact": self.exact}

    def __str__(self) -> str:
        total = len(self.converted) + len(self.kept)
        if not total:
            return "There are no norms to convert."
        inexact = sum(not norm.exact for norm in self.converted)
        text = f"{len(self.converted)} of {total} norms converted, "
        text += f"{inexact} of them compute something else until trained" if inexact else "all of them exactly"
        if self.converted:
            rows = [[n.norm, n.was, n.became, "yes" if n.exact else "no", n.weights] for n in self.converted]
            text += "\n\n" + text_table(["norm", "was", "became", "exact", "weights"], rows)
        if self.kept:
            text += "\n\n" + text_table(["kept", "why"], [list(row) for row in self.kept])
        return "\n\n".join([text, *self.notes])
