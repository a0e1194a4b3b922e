"""What is wrong with a policy, and where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


class PolicyError(click.ClickException):
    """A policy that cannot be followed: wrong usage, as an unknown option is."""

    exit_code = 2


def table_name(path: Sequence[str | int]) -> str:
    """A table as it stands in the file: `[exports.phone]`, `[[allow]]`, `[override."a.keras".exports.phone]`."""
    if path and path[0] == "allow":
        return "[[allow]]"
    return f"[{'.'.join(_key(str(part)) for part in path)}]" if path else "the top of the file"


def at(file: Path, line: int | None) -> str:
    return f"{file}:{line}" if line else str(file)


def _key(part: str) -> str:
    plain = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
    return part if plain else f'"{part}"'
