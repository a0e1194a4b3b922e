"""What came of holding an artifact against the certificate beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CertificateReport:
    """`differences` is why the certificate does not hold; `notes` is what was not compared, or has changed since."""

    path: str
    compared: int
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.differences

    def failure(self) -> str:
        return "" if self.ok else f"The certificate '{self.path}' does not hold: {'; '.join(self.differences)}."
