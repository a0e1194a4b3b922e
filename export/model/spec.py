"""One input of a model or of a file. This module imports no Keras: the process that runs a file does without."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """One tensor: its name, its shape with None for a free size, its dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}{list(self.shape)} {self.dtype}"
