"""What rounding alone may do to an output, where an artifact is further from its model than the tolerance.

A model that answers one rounding step of its input and weights with more than the tolerance cannot be held to the
tolerance there: what is allowed grows with that response, and an input on which the response is large says nothing and
is set aside, by name. The same holds for the rounding of Keras' own norms.
"""

from __future__ import annotations

import keras

from ..model.signature import Signature
from ..model.test_inputs import Probe
from .reference import Reference, distance, in_exact_norms, off_by

SAYS_NOTHING = 1e-2
_ROUNDING_FACTOR = 16
# Thousands of times beyond what a model was made for, its layers round more than a step of the input tells.
_FAR = ("constant", "offset", "steps")
_FAR_FACTOR = 64


def limits_of(
    model: keras.Model, sig: Signature, case: Probe, expected: Reference, largest: list[float], allowed: float
) -> tuple[list[float], str | None]:
    """What each output may be off by, as a share of its scale, at least `allowed`; why that is too much to judge by."""
    pairs = zip(expected.outputs, expected.moved, largest, strict=True)
    shifts = [distance(expected.part(i, y), expected.part(i, m), top)[1] for i, (y, m, top) in enumerate(pairs)]
    if max(shifts) > SAYS_NOTHING:
        return (
            shifts,
            f"one rounding step of input and weights moves the model's output by {max(shifts):.0e} of its scale",
        )
    off = off_by(expected, None if ordinary(case) else in_exact_norms(model, sig, case), largest)
    if max(off) > SAYS_NOTHING:
        return off, f"Keras' own norms are off by {max(off):.0e} of the output's scale there"
    factor = _FAR_FACTOR if case.name in _FAR and not case.given else _ROUNDING_FACTOR
    return [max(allowed, factor * s, 2 * o) for s, o in zip(shifts, off, strict=True)], None


def ordinary(case: Probe) -> bool:
    return case.given or case.name.startswith("random")
