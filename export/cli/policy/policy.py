"""A policy as it was read: tables with values that are each allowed, and the line of every key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .policy_error import PolicyError, at, table_name
from .toml_lines import KeyPath

FILE_NAME = "keras-norms.toml"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """What the top of the file sets for all models, or an override for some."""

    where: KeyPath = ()
    reading: Values = field(default_factory=dict)
    norms: Values = field(default_factory=dict)
    exports: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Allowance:
    """A refusal that is expected: of which models and exports, in which words or of which layer, and why."""

    number: int
    model: str | None
    export: str
    refusal: str | None
    layer: str | None
    reason: str


@dataclass(frozen=True)
class Policy:
    """The file, and everything in it. `overrides` are by the pattern of the models that they are for, in order."""

    path: Path
    models: tuple[str, ...]
    exclude: tuple[str, ...]
    settings: Settings
    overrides: Mapping[str, Settings]
    allowances: tuple[Allowance, ...]
    lines: Mapping[KeyPath, int]

    @property
    def folder(self) -> Path:
        """What every path in the file is relative to."""
        return self.path.parent

    def line(self, where: KeyPath, key: str | None = None) -> int | None:
        """The line of a key, or of its table where the key is not there; the first in it where that has no header."""
        for place in (where + ((key,) if key else ()), where):
            below = [line for path, line in self.lines.items() if place and path[: len(place)] == place]
            if below:
                return self.lines.get(place, min(below))
        return None

    def error(self, where: KeyPath, key: str | None, problem: str) -> PolicyError:
        """What is wrong with a key of a table, or with the table."""
        named = " ".join(([table_name(where)] if where or not key else []) + ([key] if key else []))
        return PolicyError(f"{at(self.path, self.line(where, key))}: {named} {problem}")

    def unknown(self, where: KeyPath, key: str, known: Sequence[str]) -> PolicyError:
        """A key that a table may not have; `known` are those that it may."""
        close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        told = f"{table_name(where)} has no key '{key}'.{hint} It may have: {', '.join(known)}."
        return PolicyError(f"{at(self.path, self.line(where, key))}: {told}")

    def matched(self, pattern: str) -> set[Path]:
        """The files and folders that a pattern stands for, with links followed."""
        return {path.resolve() for path in self.folder.glob(pattern)}
