"""What an artifact may be off by, and why.

A tolerance that the user gives is the law on the user's own and on random inputs. The default, and what holds on inputs
that are made to break norms, is widened to `FACTOR` times what rounding does to the model itself, as
`float32_rounding` measures it, where that is more. An output of which the model's own float32 results are off by more
than `MOST_OFF` of their scale tells nothing about an artifact on that input (the model is chaotic there, or takes small
differences of large numbers): it is left out, by name. docs/verification.md has all rules for users.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from ..errors import ExportError
from ..model.test_inputs import WIDE, Probe
from .float32_rounding import Rounding

DEFAULT_TOLERANCE = 1e-4
MOST_OFF = 1e-3
FACTOR = 8


@dataclass(frozen=True)
class Tolerance:
    """The largest error allowed, as a share of an output's scale; `given` if the user asked for it."""

    share: float
    given: bool

    @classmethod
    def of(cls, tolerance: float | None) -> Tolerance:
        """The tolerance that holds where the user asks for `tolerance`.

        Raises:
            ExportError: If it is no number between 0 and 1.
        """
        if tolerance is None:
            return cls(DEFAULT_TOLERANCE, False)
        if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < tolerance < 1:
            raise ExportError(f"tolerance must be a share of the output's scale, between 0 and 1; got {tolerance!r}.")
        return cls(float(tolerance), True)

    def is_law(self, case: Probe) -> bool:
        """Whether nothing widens the tolerance on this input."""
        return self.given and ordinary(case)

    def limits(self, rounding: Rounding) -> list[float]:
        """What each output may be off by where rounding moves the model's own outputs so far."""
        return [max(self.share, FACTOR * share) for share in rounding.shares]


def unusable(rounding: Rounding) -> str | None:
    """Why an input tells nothing about an artifact: its rounding; None if it does."""
    worst = max(rounding.shares, default=0.0)
    if worst <= MOST_OFF:
        return None
    return f"rounding alone moves the model's own output by {worst:.0e} of its scale ({rounding.how})"


def widened(rounding: Rounding, output: int) -> str:
    """Why a limit is wider than the tolerance."""
    return f"rounding moves the model's own output by {rounding.shares[output]:.1e} ({rounding.how}), times {FACTOR}"


def ordinary(case: Probe) -> bool:
    """Whether an input is random or the user's own, not one that is made to break norms."""
    return case.given or case.name.startswith("random")


def breaks_norms(case: Probe) -> bool:
    """Whether an input is made to break norms: what Keras computes of it may be exact by luck."""
    return not ordinary(case) and case.name != WIDE
