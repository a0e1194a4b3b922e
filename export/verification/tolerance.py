"""What rounding alone may do to an output, where an artifact is further from its model than the tolerance.

Where one rounding step of input and weights moves the model's own output by more than the tolerance, an artifact cannot
be held to the tolerance. There the limit grows with that movement, and an input that moves the output too far is
skipped, by name. The same holds for the rounding of Keras' own norms.
"""

from __future__ import annotations

from numbers import Real

from ..errors import ExportError
from ..model.facts import ModelFacts
from ..model.test_inputs import Probe
from .reference import Reference, outputs_of_exact_norms

DEFAULT_TOLERANCE = 1e-4
MOST_MOVED = 1e-2  # an output that rounding alone moves by a larger share of its scale cannot be judged
_ROUNDING_FACTOR = 16
# Inputs of magnitude 1e4 round more inside the layers than one step of the input shows, so these get a larger factor.
_FAR = ("constant", "offset", "steps")
_FAR_FACTOR = 64


def check_tolerance(tolerance: float | None) -> float:
    """The tolerance that holds where the user asks for `tolerance`.

    Raises:
        ExportError: If it is no number between 0 and 1.
    """
    if tolerance is None:
        return DEFAULT_TOLERANCE
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real) or not 0 < tolerance < 1:
        raise ExportError(f"tolerance must be a share of the output's scale, between 0 and 1; got {tolerance!r}.")
    return float(tolerance)


def limits_of(
    facts: ModelFacts, case: Probe, expected: Reference, reached: list[float], allowed: float
) -> tuple[list[float], str | None]:
    """The largest error of each output, as a share of its scale, at least `allowed`; or why nothing can be judged.

    `reached` is the scale of each output on ordinary inputs.
    """
    shifts = expected.relative_errors(expected.moved, reached)
    if max(shifts) > MOST_MOVED:
        return (
            shifts,
            f"one rounding step of input and weights moves the model's output by {max(shifts):.0e} of its scale",
        )
    exact = None if ordinary(case) else outputs_of_exact_norms(facts, case)
    off = [0.0] * len(reached) if exact is None else expected.relative_errors(exact, reached)
    if max(off) > MOST_MOVED:
        return off, f"Keras' own norms are off by {max(off):.0e} of the output's scale there"
    factor = _FAR_FACTOR if case.name in _FAR and not case.given else _ROUNDING_FACTOR
    return [max(allowed, factor * s, 2 * o) for s, o in zip(shifts, off, strict=True)], None


def ordinary(case: Probe) -> bool:
    """Whether an input is random or the user's own, not one that is made to break norms."""
    return case.given or case.name.startswith("random")
