"""What TFLite Micro needs to run a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class MicroReport:
    """`arena_bytes`: the memory that TFLite Micro's interpreter took of its arena; None where it is not installed.

    `resolver` are the lines of C++ that link the file's operators.
    """

    arena_bytes: int | None
    resolver: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        took = (
            "TFLite Micro did not run the file: pip install 'keras-norms[micro]'"
            if self.arena_bytes is None
            else f"TFLite Micro takes {self.arena_bytes:,} bytes of arena (of an x86-64 build)"
        )
        return f"{took}; its resolver:\n    " + "\n    ".join(self.resolver)
