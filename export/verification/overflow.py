"""Which layer of a model gives infinities for finite inputs.

An output behind it may be finite by luck: the infinity met no zero, and no other infinity. Runtimes that multiply by
zeros of a padding, or add in another order, then have NaN.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..model.facts import ModelFacts
from ..model.user_inputs import Arrays
from .recording import recording
from .reference import run_model


def overflowing_layer(facts: ModelFacts, arrays: Arrays) -> str | None:
    """The name of the first layer whose result for `arrays` is not finite, or None."""
    with recording(facts.model) as calls:
        run_model(replace(facts, calls=None), arrays)
    return next((call.layer for call in calls if not all(np.isfinite(y).all() for y in call.outputs)), None)
