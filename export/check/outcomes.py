"""Telling the command what came of each check as soon as it is known, so that a crash loses none of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import ExportError, FoldError, VerificationError, kind_and_reason, visible
from .tasks import Outcome, Status


class Outcomes:
    """The outcomes of one model. `say` takes a stage, which is text, or an `Outcome`."""

    def __init__(self, say: Callable[[Any], object]) -> None:
        self.say = say
        self._since = time.monotonic()

    def tell(
        self,
        check: str,
        status: Status,
        text: str = "",
        *,
        export: str | None = None,
        kind: str | None = None,
        layer: str | None = None,
        file: Path | None = None,
    ) -> None:
        """Report a check that took all the time since the last report."""
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        outcome = Outcome(
            check=check,
            export=export,
            status=status,
            kind=kind,
            text=visible(" ".join(text.split())),
            layer=layer,
            file=None if file is None else str(file),
            seconds=round(seconds, 3),
        )
        self.say(outcome)


def reason(error: Exception) -> str:
    """What an error says: ours are sentences for people, those of libraries get the name of their class in front."""
    ours = isinstance(error, (ExportError, FoldError, VerificationError))
    return str(error) if ours else kind_and_reason(error)
