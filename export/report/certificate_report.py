"""What came of comparing an artifact with the certificate beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CertificateReport:
    """`differences` says why the certificate does not hold; `notes` says what was not compared or has changed since."""

    path: str
    compared: int
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.differences

    def failure(self) -> str:
        return "" if self.ok else f"The certificate '{self.path}' does not hold: {'; '.join(self.differences)}."
