"""The folders of one export: for intermediate files, and for what is moved to its place at the end."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..artifact.atomic_write import atomic_write
from ..verification.certificate import certificate_path
from .request import Request


@dataclass(frozen=True)
class Place:
    """`work` goes at the end of the export; `artifact` and `certificate` take their final places if it succeeds."""

    work: Path
    artifact: Path
    certificate: Path | None

    def within(self, name: str) -> Place:
        """A place in a folder of its own, for a file that only this export reads."""
        folder = self.work / name
        folder.mkdir()
        return Place(self.work, folder / self.artifact.name, None)

    @classmethod
    @contextmanager
    def of(cls, request: Request) -> Iterator[Place]:
        with ExitStack() as stack:
            work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keras-norms-")))
            # ExitStack unwinds in reverse: the artifact is moved before its certificate.
            beside = certificate_path(request.path)
            certificate = stack.enter_context(atomic_write(beside)) if request.certificate else None
            yield cls(work, stack.enter_context(atomic_write(request.path)), certificate)
