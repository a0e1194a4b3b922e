"""Everything that `keras-norms doctor` finds, as plain records."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .parts import PARTS, PROJECT, Part, installed, is_older, oldest, python_fits, pythons
from .start_runtimes import Started

State = Literal["ok", "missing", "too old"]


@dataclass(frozen=True)
class FoundPart:
    """A package: whether it is there, in which version, and what to do if that is not right.

    `oldest` is the oldest version that is supported; nothing works without one that is `required`.
    """

    package: str
    state: State
    version: str | None
    oldest: str | None
    purpose: str
    required: bool
    remedy: str | None = None


@dataclass(frozen=True)
class Examination:
    """`ok` unless something that is installed is too old or does not work: what is merely missing is a choice."""

    version: str
    python: str
    pythons: str
    python_ok: bool
    parts: tuple[FoundPart, ...]
    runtimes: tuple[Started, ...]

    @property
    def ok(self) -> bool:
        right = all(part.state == "ok" or (part.state == "missing" and not part.required) for part in self.parts)
        return self.python_ok and right and all(started.problem is None for started in self.runtimes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for `--json`."""
        return {"ok": self.ok, **asdict(self)}


def examine(runtimes: Sequence[Started], parts: Sequence[Part] = PARTS) -> Examination:
    """Look at every package; `runtimes` have been started already."""
    bounds, tried = pythons(), oldest()
    return Examination(
        version=installed(PROJECT) or "unknown",
        python=platform.python_version(),
        pythons=bounds,
        python_ok=python_fits(bounds, sys.version_info[:2]),
        parts=tuple(_found(part, tried.get(part.package)) for part in parts),
        runtimes=tuple(runtimes),
    )


def _found(part: Part, bound: str | None) -> FoundPart:
    there = installed(part.package)
    extra = f"'{PROJECT}[{part.extra}]'" if part.extra else PROJECT
    state: State = "missing" if there is None else "too old" if bound and is_older(there, bound) else "ok"
    remedy = {
        "ok": None,
        "missing": f"pip install {extra}",
        "too old": f"pip install --upgrade {part.package}",
    }[state]
    return FoundPart(part.package, state, there, bound, part.purpose, not part.extra, remedy)
