"""What a person reads about a loaded file: who wrote it, what was translated, what proves that it computes the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .strict_json import strict_json
from .text_table import table, text


@dataclass(frozen=True)
class Translated:
    """A change that was made to the config or the weights of one layer so that Keras 3 computes what the file says.

    `exactness` says how far the result may be from the original.
    """

    layer: str
    translation: str
    reason: str
    exactness: str


@dataclass(frozen=True)
class LoadReport:
    """What `load` found in a file and what it did to read it.

    Attributes:
        path: the file.
        writer: the library and the version that wrote it, as the file itself tells.
        translated: a record for each change that was made.
        proof: in words, what shows that the model computes what its writer computed, or why nothing does.
        oracle: the library that computed the same inputs from the same file; None if there was none.
        error: the largest difference from the oracle, relative to the largest value of the output; None without one.
    """

    path: str
    writer: str
    translated: list[Translated] = field(default_factory=list)
    proof: str = ""
    oracle: str | None = None
    error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)

    def without_path(self) -> dict[str, Any]:
        """The same without the file's place, which says nothing about the model."""
        return {key: value for key, value in self.to_dict().items() if key != "path"}

    def to_json(self) -> str:
        """The report as JSON text."""
        return strict_json(self.to_dict())

    def __str__(self) -> str:
        lines = [f"{self.path}: written by {self.writer}", f"proof: {self.proof}"]
        if self.translated:
            rows = [(t.layer, t.translation, t.exactness, t.reason) for t in self.translated]
            lines += ["", table(("layer", "translation", "exactness", "why"), rows)]
        return text(lines)
